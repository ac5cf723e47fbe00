//! Stack, marks and memo of the machine, and what its instructions do with them.

use super::memo::Memo;
use crate::budget::Budget;
use crate::pt::global::Global;
use crate::pt::problem::PtProblem;
use crate::pt::rebuild::{self, Called, NoResult};
use crate::pt::unpickled::{
    BytesForm, Id, Making, Named, Object, Sequence, Span, Value, Values, text,
};

pub(super) struct Machine<'a> {
    pickle: &'a [u8],
    /// The next byte to read.
    next: usize,
    /// Where the current instruction is, and which it is.
    at: usize,
    opcode: u8,
    pub(super) values: Values,
    stack: Vec<Id>,
    /// Heights of the stack at the marks set and not yet used.
    marks: Vec<u32>,
    memo: Memo,
    /// How high stack and marks were at most: so much of them is counted.
    counted: (usize, usize),
}

impl<'a> Machine<'a> {
    pub(super) fn new(pickle: &'a [u8], budget: Budget) -> Machine<'a> {
        Machine {
            pickle,
            next: 0,
            at: 0,
            opcode: 0,
            values: Values::new(budget),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            counted: (0, 0),
        }
    }

    pub(super) fn into_values(self) -> Values {
        self.values
    }

    pub(super) fn next_opcode(&mut self) -> Result<u8, PtProblem> {
        self.at = self.next;
        [self.opcode] = self.array()?;
        Ok(self.opcode)
    }

    /// The place of the next `len` bytes, which are passed.
    fn take(&mut self, len: u64) -> Result<Span, PtProblem> {
        let rest = self.pickle.len() - self.next;
        let ends = PtProblem::PickleEnds {
            at: self.pickle.len(),
        };
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len <= rest)
            .ok_or(ends)?;
        // A pickle of more than 4 GiB is not read.
        let (start, short) = (self.next as u32, len as u32);
        self.next += len;
        Ok(Span { start, len: short })
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PtProblem> {
        let mut array = [0; N];
        let taken = self.take(N as u64)?;
        array.copy_from_slice(taken.of(self.pickle));
        Ok(array)
    }

    pub(super) fn len1(&mut self) -> Result<u64, PtProblem> {
        self.array().map(|[len]| len.into())
    }

    pub(super) fn len4(&mut self) -> Result<u64, PtProblem> {
        self.array().map(|len| u32::from_le_bytes(len).into())
    }

    pub(super) fn len8(&mut self) -> Result<u64, PtProblem> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, len: u64) -> Result<Span, PtProblem> {
        let at = self.at;
        let span = self.take(len)?;
        match str::from_utf8(span.of(self.pickle)) {
            Ok(_) => Ok(span),
            Err(_) => Err(PtProblem::StringNotUtf8 { at }),
        }
    }

    /// The text up to the next newline.
    pub(super) fn line(&mut self) -> Result<Span, PtProblem> {
        let rest = &self.pickle[self.next..];
        let ends = PtProblem::PickleEnds {
            at: self.pickle.len(),
        };
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or(ends)?;
        let line = self.text(len as u64)?;
        self.next += 1;
        Ok(line)
    }

    pub(super) fn needs(&self, needs: &'static str) -> PtProblem {
        PtProblem::BadOperand {
            opcode: self.opcode,
            at: self.at,
            needs,
        }
    }

    pub(super) fn unsupported(&self, opcode: u8) -> PtProblem {
        PtProblem::UnsupportedOpcode {
            opcode,
            at: self.at,
        }
    }

    fn bad_call(&self, function: &'static str, problem: &'static str) -> PtProblem {
        PtProblem::BadCall {
            function,
            at: self.at,
            problem,
        }
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), PtProblem> {
        let id = self.values.add(value)?;
        self.push_again(id)
    }

    /// Pushes a value that exists.
    pub(super) fn push_again(&mut self, id: Id) -> Result<(), PtProblem> {
        if self.stack.len() == self.counted.0 {
            self.values.budget.push::<Id>(1)?;
            self.counted.0 += 1;
        }
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn mark(&mut self) -> Result<(), PtProblem> {
        if self.marks.len() == self.counted.1 {
            self.values.budget.push::<u32>(1)?;
            self.counted.1 += 1;
        }
        self.marks.push(self.stack.len() as u32);
        Ok(())
    }

    /// The height of the last mark.
    fn floor(&self) -> usize {
        self.marks.last().map_or(0, |&mark| mark as usize)
    }

    /// The value on top, above the last mark.
    pub(super) fn top(&self) -> Result<Id, PtProblem> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err(self.needs("a value on the stack")),
        }
    }

    pub(super) fn pop(&mut self) -> Result<Id, PtProblem> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    pub(super) fn pop_or_mark(&mut self) -> Result<(), PtProblem> {
        if !self.marks.is_empty() && self.floor() == self.stack.len() {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<Id>, PtProblem> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.needs("a mark on the stack"))?;
        Ok(self.stack.split_off(mark as usize))
    }

    pub(super) fn remember(&mut self) -> Result<(), PtProblem> {
        self.remember_as(self.memo.len())
    }

    pub(super) fn remember_as(&mut self, key: u32) -> Result<(), PtProblem> {
        let id = self.top()?;
        Ok(self.memo.set(key, id, &mut self.values.budget)?)
    }

    pub(super) fn recall(&mut self, key: u32) -> Result<(), PtProblem> {
        let id = self
            .memo
            .get(key)
            .ok_or_else(|| self.needs("a remembered value"))?;
        self.push_again(id)
    }

    /// Pushes a two's complement little-endian integer of any length.
    pub(super) fn long(&mut self, len: u64) -> Result<(), PtProblem> {
        let span = self.take(len)?;
        let bytes = minimal(span.of(self.pickle));
        let value = if bytes.len() > 8 {
            let (start, len) = (span.start, bytes.len() as u32);
            Value::Long(Span { start, len })
        } else {
            let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
            let mut extended = [if negative { 0xff } else { 0 }; 8];
            extended[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(extended))
        };
        self.push(value)
    }

    pub(super) fn string(&mut self, len: u64) -> Result<(), PtProblem> {
        let text = self.text(len)?;
        self.push(Value::Str(text))
    }

    pub(super) fn bytes(&mut self, len: u64, mutable: bool) -> Result<(), PtProblem> {
        let bytes = self.take(len)?;
        let latin1 = false;
        self.push(Value::Bytes(bytes, BytesForm { latin1, mutable }))
    }

    pub(super) fn tuple(&mut self, len: usize) -> Result<(), PtProblem> {
        let mut items = [Id(0); 3];
        for item in items[..len].iter_mut().rev() {
            *item = self.pop()?;
        }
        self.tuple_of(&items[..len])
    }

    pub(super) fn tuple_of(&mut self, items: &[Id]) -> Result<(), PtProblem> {
        let tuple = self.values.tuple(items)?;
        self.push(tuple)
    }

    pub(super) fn append(&mut self, items: &[Id]) -> Result<(), PtProblem> {
        let top = self.values.get(self.top()?);
        let Values {
            lists,
            objects,
            budget,
            ..
        } = &mut self.values;
        let list = match top {
            Value::List(list) => &mut lists[list as usize].items,
            Value::Object(object) => &mut objects[object as usize].items,
            _ => return Err(self.needs("a list")),
        };
        budget.grow::<Id>(list.len(), items.len())?;
        list.extend(items);
        Ok(())
    }

    /// Sets keys and values, which alternate, in the dict on top.
    pub(super) fn set(&mut self, items: &[Id]) -> Result<(), PtProblem> {
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(self.needs("as many values as keys"));
        }
        let top = self.values.get(self.top()?);
        let Values {
            dicts,
            objects,
            budget,
            ..
        } = &mut self.values;
        let dict = match top {
            Value::Dict(dict) => &mut dicts[dict as usize].items,
            Value::Object(object) => &mut objects[object as usize].pairs,
            _ => return Err(self.needs("a dict")),
        };
        budget.grow::<(Id, Id)>(dict.len(), pairs.len())?;
        dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    pub(super) fn set_of(&mut self, items: Vec<Id>, frozen: bool) -> Result<(), PtProblem> {
        self.values.budget.grow::<Id>(0, items.len())?;
        let set = Sequence { items, frozen };
        let set = self.values.add_to(|values| &mut values.sets, set)?;
        self.push(Value::Set(set))
    }

    pub(super) fn add_items(&mut self, items: &[Id]) -> Result<(), PtProblem> {
        let top = self.values.get(self.top()?);
        let Values {
            sets,
            objects,
            budget,
            ..
        } = &mut self.values;
        let set = match top {
            Value::Set(set) => &mut sets[set as usize].items,
            Value::Object(object) => &mut objects[object as usize].items,
            _ => return Err(self.needs("a set")),
        };
        budget.grow::<Id>(set.len(), items.len())?;
        set.extend(items);
        Ok(())
    }

    pub(super) fn global(&mut self, module: Span, name: Span) -> Result<(), PtProblem> {
        let global = Global::named(text(self.pickle, module), text(self.pickle, name));
        let named = Named {
            module,
            name,
            global,
        };
        let named = self.values.add_to(|values| &mut values.globals, named)?;
        self.push(Value::Global(named))
    }

    /// Pushes what a persistent id stands for.
    pub(super) fn outside(&mut self) -> Result<(), PtProblem> {
        let id = self.pop()?;
        let storage = rebuild::storage(self.pickle, &self.values, id)
            .map_err(|problem| self.bad_call("a persistent id", problem))?;
        match storage {
            Some(storage) => {
                let storage = self.values.add_to(|values| &mut values.storages, storage)?;
                self.push(Value::Storage(storage))
            }
            None => {
                let class = self.values.as_tuple(id).map_or(id, |fields| fields[1]);
                self.object(Making::Outside, class, id)
            }
        }
    }

    pub(super) fn call(&mut self) -> Result<(), PtProblem> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let function = match self.values.get(callee) {
            Value::Global(named) => self.values.globals[named as usize].global,
            // A function that another call gives, such as that of a class's method.
            Value::Object(_) => Global::Other,
            _ => return Err(self.needs("a class or function")),
        };
        let Value::Tuple(given) = self.values.get(arguments) else {
            return Err(self.needs("a tuple of arguments"));
        };
        match rebuild::call(self.pickle, &mut self.values, function, given) {
            Ok(Called::Made(value)) => self.push(value),
            Ok(Called::Argument(id)) => self.push_again(id),
            Ok(Called::Opaque) => self.object(Making::Call, callee, arguments),
            Err(NoResult::Wrong(problem)) => Err(self.bad_call(function.name(), problem)),
            Err(NoResult::Exhausted(problem)) => Err(problem),
        }
    }

    /// Pushes an object that is kept as it is described.
    pub(super) fn object(
        &mut self,
        making: Making,
        callee: Id,
        arguments: Id,
    ) -> Result<(), PtProblem> {
        if !matches!(self.values.get(callee), Value::Global(_) | Value::Object(_)) {
            return Err(self.needs("a class or function"));
        }
        let object = Object {
            making,
            callee,
            arguments,
            state: None,
            items: Vec::new(),
            pairs: Vec::new(),
        };
        let object = self.values.add_to(|values| &mut values.objects, object)?;
        self.push(Value::Object(object))
    }

    /// Gives the object on top its state.
    pub(super) fn build(&mut self, state: Id) -> Result<(), PtProblem> {
        let built = match self.values.get(self.top()?) {
            Value::Dict(dict) => &mut self.values.dicts[dict as usize].state,
            Value::Object(object) => &mut self.values.objects[object as usize].state,
            _ => return Err(self.needs("an object that can have a state")),
        };
        match built {
            None => *built = Some(state),
            // No pickler gives one twice.
            Some(_) => return Err(self.needs("an object without a state")),
        }
        Ok(())
    }
}

/// The fewest bytes of a two's complement little-endian integer; none for 0.
fn minimal(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [rest @ .., last] = bytes {
        let below = rest.last().map_or(0, |&byte| byte & 0x80);
        match (last, below) {
            (0, 0) | (0xff, 0x80) => bytes = rest,
            _ => break,
        }
    }
    bytes
}
