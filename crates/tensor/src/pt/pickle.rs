//! A pickle machine that can build descriptions of tensors and nothing else.
//!
//! Python's pickles are programs: one may call any function it can name, so unpickling a file is
//! running it. This machine executes the instructions that data needs, keeps calls as data, and
//! knows a handful of names ([`Global`]); any other name is an error. Instructions are described
//! in CPython's `pickletools` module.
//!
//! No instruction copies a value of unbounded size, so that a short pickle cannot make many large
//! values.

use std::collections::HashMap;

use super::global::Global;
use super::opcode as op;
use super::problem::PtProblem;
use super::rebuild::{self, Called};
use super::unpickled::{Id, MAX_VALUES, Unpickled, Value, Values};

/// Runs a pickle.
///
/// # Errors
/// [`PtProblem`] for whatever is not a pickle of tensors and plain data.
pub(crate) fn run(pickle: &[u8]) -> Result<Unpickled, PtProblem> {
    let mut machine = Machine {
        pickle,
        next: 0,
        at: 0,
        opcode: 0,
        values: Values::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Unpickled::new(machine.values, root))
}

struct Machine<'a> {
    pickle: &'a [u8],
    /// The next byte to read.
    next: usize,
    /// Where the current instruction is, and which it is.
    at: usize,
    opcode: u8,
    values: Values,
    stack: Vec<Id>,
    /// Heights of the stack at the marks set and not yet used.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Executes one instruction: whether there is another.
    fn step(&mut self) -> Result<bool, PtProblem> {
        self.at = self.next;
        [self.opcode] = self.array()?;
        match self.opcode {
            op::PROTO => self.protocol()?,
            op::FRAME => _ = self.array::<8>()?,
            op::STOP => return Ok(false),

            op::MARK => self.mark()?,
            op::POP => self.pop_or_mark()?,
            op::POP_MARK => _ = self.pop_to_mark()?,
            op::DUP => self.push_again(self.top()?)?,
            op::BINPUT => self.remember_as(|machine| machine.array().map(|[key]| key.into()))?,
            op::LONG_BINPUT => {
                self.remember_as(|machine| machine.array().map(u32::from_le_bytes))?
            }
            op::MEMOIZE => self.remember_as(|machine| Ok(machine.memo.len() as u32))?,
            op::BINGET => self.recall(|machine| machine.array().map(|[key]| key.into()))?,
            op::LONG_BINGET => self.recall(|machine| machine.array().map(u32::from_le_bytes))?,

            op::NONE => self.push(Value::None)?,
            op::NEWTRUE => self.push(Value::Bool(true))?,
            op::NEWFALSE => self.push(Value::Bool(false))?,
            op::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            op::BININT1 => {
                let [value] = self.array()?;
                self.push(Value::Int(value.into()))?;
            }
            op::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            op::LONG1 => {
                let [len] = self.array()?;
                self.long(len.into())?;
            }
            op::LONG4 => {
                let len = u32::from_le_bytes(self.array()?);
                self.long(len as usize)?;
            }
            op::BINFLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(value))?;
            }
            op::SHORT_BINUNICODE => {
                let [len] = self.array()?;
                self.string(len.into())?;
            }
            op::BINUNICODE => {
                let len = u32::from_le_bytes(self.array()?);
                self.string(len.into())?;
            }
            op::BINUNICODE8 => {
                let len = u64::from_le_bytes(self.array()?);
                self.string(len)?;
            }

            op::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new()))?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            op::EMPTY_LIST => self.push(Value::List(Vec::new()))?,
            op::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            op::APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            op::EMPTY_DICT => self.push(Value::Dict(Vec::new()))?,
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }

            op::GLOBAL => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.global(name)?;
            }
            op::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (Value::Str(module), Value::Str(name)) =
                    (self.values.get(module), self.values.get(name))
                else {
                    return Err(self.needs("two strings"));
                };
                self.global(format!("{module}.{name}"))?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = rebuild::storage(&self.values, id)
                    .map_err(|problem| self.bad_call("a persistent id", problem))?;
                self.push(Value::Storage(storage))?;
            }
            op::REDUCE => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(function, arguments)?;
            }
            op::BUILD => {
                let state = self.pop()?;
                self.build(state)?;
            }
            opcode => {
                return Err(PtProblem::UnsupportedOpcode {
                    opcode,
                    at: self.at,
                });
            }
        }
        Ok(true)
    }

    fn protocol(&mut self) -> Result<(), PtProblem> {
        match self.array()? {
            [2..=5] => Ok(()),
            [protocol] => Err(PtProblem::PickleProtocol { protocol }),
        }
    }

    fn take(&mut self, len: u64) -> Result<&[u8], PtProblem> {
        let rest = &self.pickle[self.next..];
        let ends = PtProblem::PickleEnds {
            at: self.pickle.len(),
        };
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len <= rest.len())
            .ok_or(ends)?;
        self.next += len;
        Ok(&rest[..len])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PtProblem> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn text(&mut self, len: u64) -> Result<String, PtProblem> {
        let at = self.at;
        let bytes = self.take(len)?.to_vec();
        String::from_utf8(bytes).map_err(|_| PtProblem::StringNotUtf8 { at })
    }

    /// The text up to the next newline.
    fn line(&mut self) -> Result<String, PtProblem> {
        let rest = &self.pickle[self.next..];
        let ends = PtProblem::PickleEnds {
            at: self.pickle.len(),
        };
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or(ends)?;
        let line = self.text(len as u64)?;
        self.next += 1;
        Ok(line)
    }

    fn needs(&self, needs: &'static str) -> PtProblem {
        PtProblem::BadOperand {
            opcode: self.opcode,
            at: self.at,
            needs,
        }
    }

    fn bad_call(&self, function: &'static str, problem: &'static str) -> PtProblem {
        PtProblem::BadCall {
            function,
            at: self.at,
            problem,
        }
    }

    fn push(&mut self, value: Value) -> Result<(), PtProblem> {
        let id = self.values.add(value)?;
        self.push_again(id)
    }

    /// Pushes a value that exists. The stack is bounded like the arena: recalling costs no value.
    fn push_again(&mut self, id: Id) -> Result<(), PtProblem> {
        if self.stack.len() == MAX_VALUES {
            return Err(PtProblem::TooManyValues { limit: MAX_VALUES });
        }
        self.stack.push(id);
        Ok(())
    }

    /// The value on top, above the last mark.
    fn top(&self) -> Result<Id, PtProblem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&id) if self.stack.len() > floor => Ok(id),
            _ => Err(self.needs("a value on the stack")),
        }
    }

    fn pop(&mut self) -> Result<Id, PtProblem> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_or_mark(&mut self) -> Result<(), PtProblem> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn mark(&mut self) -> Result<(), PtProblem> {
        if self.marks.len() == MAX_VALUES {
            return Err(PtProblem::TooManyValues { limit: MAX_VALUES });
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PtProblem> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.needs("a mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember_as(
        &mut self,
        key: impl FnOnce(&mut Self) -> Result<u32, PtProblem>,
    ) -> Result<(), PtProblem> {
        let key = key(self)?;
        let id = self.top()?;
        self.memo.insert(key, id);
        if self.memo.len() > MAX_VALUES {
            return Err(PtProblem::TooManyValues { limit: MAX_VALUES });
        }
        Ok(())
    }

    fn recall(
        &mut self,
        key: impl FnOnce(&mut Self) -> Result<u32, PtProblem>,
    ) -> Result<(), PtProblem> {
        let key = key(self)?;
        let id = *self
            .memo
            .get(&key)
            .ok_or_else(|| self.needs("a remembered value"))?;
        self.push_again(id)
    }

    /// Pushes a two's complement little-endian integer of any length that fits 64 bits.
    fn long(&mut self, len: usize) -> Result<(), PtProblem> {
        let at = self.at;
        let bytes = self.take(len as u64)?;
        if len > 8 {
            return Err(PtProblem::IntegerTooLarge { at, bytes: len });
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut extended = [if negative { 0xff } else { 0 }; 8];
        extended[..len].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(extended)))
    }

    fn string(&mut self, len: u64) -> Result<(), PtProblem> {
        let text = self.text(len)?;
        self.push(Value::Str(text.into()))
    }

    fn tuple(&mut self, len: usize) -> Result<(), PtProblem> {
        let mut items = Vec::with_capacity(len);
        for _ in 0..len {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), PtProblem> {
        let list = self.top()?;
        match self.values.get_mut(list) {
            Value::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.needs("a list")),
        }
    }

    /// Sets keys and values, which alternate, in the dict on top.
    fn set(&mut self, items: &[Id]) -> Result<(), PtProblem> {
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(self.needs("as many values as keys"));
        }
        let dict = self.top()?;
        match self.values.get_mut(dict) {
            Value::Dict(dict) => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self.needs("a dict")),
        }
    }

    fn global(&mut self, name: String) -> Result<(), PtProblem> {
        match Global::named(&name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(PtProblem::UnsupportedGlobal { name, at: self.at }),
        }
    }

    fn call(&mut self, function: Id, arguments: Id) -> Result<(), PtProblem> {
        let &Value::Global(function) = self.values.get(function) else {
            return Err(self.needs("a known function"));
        };
        let Value::Tuple(arguments) = self.values.get(arguments) else {
            return Err(self.needs("a tuple of arguments"));
        };
        let called = rebuild::call(&self.values, function, arguments)
            .map_err(|problem| self.bad_call(function.name(), problem))?;
        match called {
            Called::Made(value) => self.push(value),
            Called::Argument(id) => self.push_again(id),
        }
    }

    /// Drops the attributes of a dict. State dicts have one, `_metadata`: the versions of the
    /// modules they were taken from.
    fn build(&self, state: Id) -> Result<(), PtProblem> {
        let is_metadata =
            |name| matches!(self.values.get(name), Value::Str(name) if **name == *"_metadata");
        let harmless = matches!(self.values.get(self.top()?), Value::Dict(_))
            && match self.values.get(state) {
                Value::Dict(attributes) => {
                    matches!(attributes.as_slice(), &[(name, _)] if is_metadata(name))
                }
                _ => false,
            };
        if harmless {
            Ok(())
        } else {
            Err(self.needs("a dict and its \"_metadata\""))
        }
    }
}
