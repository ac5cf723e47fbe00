//! A pickle machine that makes nothing but data.
//!
//! Python's pickles are programs: one may call any function it can name, so unpickling a file is
//! running it. This machine executes the instructions that data needs and knows the handful of names that
//! tensors are made with ([`Global`]); of any other class or function, name, arguments and state are kept as
//! data, and it is never called. Instructions are described in CPython's `pickletools` module.
//!
//! No instruction copies a value of unbounded size, and everything that is allocated is
//! [counted](crate::budget::Budget), so that a short pickle cannot make many large values.

mod machine;
mod memo;

use super::opcode as op;
use super::problem::PtProblem;
use super::unpickled::{Dict, Making, Sequence, Unpickled, Value};
use crate::budget::Budget;
use machine::Machine;

/// Runs a pickle.
///
/// # Errors
/// [`PtProblem`] for whatever is not a pickle.
pub(crate) fn run(pickle: Vec<u8>, mut budget: Budget) -> Result<Unpickled, PtProblem> {
    budget.take(pickle.len() as u64)?;
    let mut machine = Machine::new(&pickle, budget);
    while step(&mut machine)? {}
    let root = machine.pop()?;
    let values = machine.into_values();
    Ok(Unpickled {
        pickle,
        values,
        root,
    })
}

/// Executes one instruction: whether there is another.
fn step(machine: &mut Machine<'_>) -> Result<bool, PtProblem> {
    match machine.next_opcode()? {
        op::PROTO => match machine.array()? {
            [2..=5] => {}
            [protocol] => return Err(PtProblem::PickleProtocol { protocol }),
        },
        op::FRAME => _ = machine.array::<8>()?,
        op::STOP => return Ok(false),

        op::MARK => machine.mark()?,
        op::POP => machine.pop_or_mark()?,
        op::POP_MARK => _ = machine.pop_to_mark()?,
        op::DUP => machine.push_again(machine.top()?)?,
        op::BINPUT => {
            let [key] = machine.array()?;
            machine.remember_as(key.into())?;
        }
        op::LONG_BINPUT => {
            let key = u32::from_le_bytes(machine.array()?);
            machine.remember_as(key)?;
        }
        op::MEMOIZE => machine.remember()?,
        op::BINGET => {
            let [key] = machine.array()?;
            machine.recall(key.into())?;
        }
        op::LONG_BINGET => {
            let key = u32::from_le_bytes(machine.array()?);
            machine.recall(key)?;
        }

        op::NONE => machine.push(Value::None)?,
        op::NEWTRUE => machine.push(Value::Bool(true))?,
        op::NEWFALSE => machine.push(Value::Bool(false))?,
        op::BININT => {
            let value = i32::from_le_bytes(machine.array()?);
            machine.push(Value::Int(value.into()))?;
        }
        op::BININT1 => {
            let [value] = machine.array()?;
            machine.push(Value::Int(value.into()))?;
        }
        op::BININT2 => {
            let value = u16::from_le_bytes(machine.array()?);
            machine.push(Value::Int(value.into()))?;
        }
        op::LONG1 => {
            let len = machine.len1()?;
            machine.long(len)?;
        }
        op::LONG4 => {
            let len = machine.len4()?;
            machine.long(len)?;
        }
        op::BINFLOAT => {
            let value = f64::from_be_bytes(machine.array()?);
            machine.push(Value::Float(value))?;
        }
        op::SHORT_BINUNICODE | op::SHORT_BINSTRING => {
            let len = machine.len1()?;
            machine.string(len)?;
        }
        op::BINUNICODE | op::BINSTRING => {
            let len = machine.len4()?;
            machine.string(len)?;
        }
        op::BINUNICODE8 => {
            let len = machine.len8()?;
            machine.string(len)?;
        }
        op::SHORT_BINBYTES => {
            let len = machine.len1()?;
            machine.bytes(len, false)?;
        }
        op::BINBYTES => {
            let len = machine.len4()?;
            machine.bytes(len, false)?;
        }
        op::BINBYTES8 => {
            let len = machine.len8()?;
            machine.bytes(len, false)?;
        }
        op::BYTEARRAY8 => {
            let len = machine.len8()?;
            machine.bytes(len, true)?;
        }

        op::EMPTY_TUPLE => machine.tuple(0)?,
        op::TUPLE1 => machine.tuple(1)?,
        op::TUPLE2 => machine.tuple(2)?,
        op::TUPLE3 => machine.tuple(3)?,
        op::TUPLE => {
            let items = machine.pop_to_mark()?;
            machine.tuple_of(&items)?;
        }
        op::EMPTY_LIST => {
            let list = machine
                .values
                .add_to(|values| &mut values.lists, Sequence::default())?;
            machine.push(Value::List(list))?;
        }
        op::APPEND => {
            let item = machine.pop()?;
            machine.append(&[item])?;
        }
        op::APPENDS => {
            let items = machine.pop_to_mark()?;
            machine.append(&items)?;
        }
        op::EMPTY_DICT => {
            let dict = machine
                .values
                .add_to(|values| &mut values.dicts, Dict::default())?;
            machine.push(Value::Dict(dict))?;
        }
        op::SETITEM => {
            let value = machine.pop()?;
            let key = machine.pop()?;
            machine.set(&[key, value])?;
        }
        op::SETITEMS => {
            let items = machine.pop_to_mark()?;
            machine.set(&items)?;
        }
        op::EMPTY_SET => machine.set_of(Vec::new(), false)?,
        op::ADDITEMS => {
            let items = machine.pop_to_mark()?;
            machine.add_items(&items)?;
        }
        op::FROZENSET => {
            let items = machine.pop_to_mark()?;
            machine.set_of(items, true)?;
        }

        op::GLOBAL => {
            let (module, name) = (machine.line()?, machine.line()?);
            machine.global(module, name)?;
        }
        op::STACK_GLOBAL => {
            let (name, module) = (machine.pop()?, machine.pop()?);
            let (Value::Str(module), Value::Str(name)) =
                (machine.values.get(module), machine.values.get(name))
            else {
                return Err(machine.needs("two strings"));
            };
            machine.global(module, name)?;
        }
        op::BINPERSID => machine.outside()?,
        op::REDUCE => machine.call()?,
        op::NEWOBJ => {
            let arguments = machine.pop()?;
            let class = machine.pop()?;
            machine.object(Making::New, class, arguments)?;
        }
        op::NEWOBJ_EX => {
            let named = machine.pop()?;
            let arguments = machine.pop()?;
            let class = machine.pop()?;
            machine.object(Making::NewNamed(named), class, arguments)?;
        }
        op::BUILD => {
            let state = machine.pop()?;
            machine.build(state)?;
        }
        opcode => return Err(machine.unsupported(opcode)),
    }
    Ok(true)
}
