//! Writes the pickle that describes a value with tensors, as Python's pickler does at protocol 2.

use std::collections::HashMap;

use super::opcode as op;
use super::problem::PtProblem;
use super::value::PtValue;
use crate::dtype::DType;
use crate::layout::row_major_strides;
use crate::tensor::Tensor;

/// The pickle of a value, and its tensors in the order of their storages' keys: the first lies in
/// `data/0`, the next in `data/1`.
///
/// Every tensor gets a storage of its own, also if it shares memory with another.
pub(crate) fn pickle(value: &PtValue<Tensor>) -> Result<(Vec<u8>, Vec<&Tensor>), PtProblem> {
    let mut pickler = Pickler::new();
    let mut tensors = Vec::new();
    pickler.value(value, &mut tensors)?;
    Ok((pickler.finish(), tensors))
}

/// The pickle of one tensor of this dtype and shape.
pub(crate) fn pickle_of_tensor(dtype: DType, shape: &[usize]) -> Vec<u8> {
    let mut pickler = Pickler::new();
    pickler.tensor(dtype, shape, 0);
    pickler.finish()
}

struct Pickler {
    out: Vec<u8>,
    /// The number of values put into the memo.
    memoized: u32,
    /// Where in the memo names and recurring words are.
    known: HashMap<&'static str, u32>,
}

/// How many items Python appends to a container with one instruction.
const BATCH: usize = 1000;

impl Pickler {
    fn new() -> Pickler {
        Pickler {
            out: vec![op::PROTO, 2],
            memoized: 0,
            known: HashMap::new(),
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(op::STOP);
        self.out
    }

    fn value<'a>(
        &mut self,
        value: &'a PtValue<Tensor>,
        tensors: &mut Vec<&'a Tensor>,
    ) -> Result<(), PtProblem> {
        match value {
            PtValue::Tensor(tensor) => {
                self.tensor(tensor.dtype(), tensor.shape(), tensors.len());
                tensors.push(tensor);
            }
            PtValue::Tuple(items) => {
                if items.len() > 3 {
                    self.out.push(op::MARK);
                }
                for item in items {
                    self.value(item, tensors)?;
                }
                self.end_tuple(items.len());
            }
            PtValue::List(items) => {
                self.out.push(op::EMPTY_LIST);
                self.memoize();
                for batch in items.chunks(BATCH) {
                    self.begin_batch(batch.len());
                    for item in batch {
                        self.value(item, tensors)?;
                    }
                    self.out.push(if batch.len() > 1 {
                        op::APPENDS
                    } else {
                        op::APPEND
                    });
                }
            }
            PtValue::Dict(items) => {
                self.out.push(op::EMPTY_DICT);
                self.memoize();
                for batch in items.chunks(BATCH) {
                    self.begin_batch(batch.len());
                    for (key, value) in batch {
                        if !matches!(key, PtValue::Str(_) | PtValue::Int(_)) {
                            let found = key.description().to_owned();
                            return Err(PtProblem::UnsupportedKey { found });
                        }
                        self.value(key, tensors)?;
                        self.value(value, tensors)?;
                    }
                    self.out.push(if batch.len() > 1 {
                        op::SETITEMS
                    } else {
                        op::SETITEM
                    });
                }
            }
            PtValue::Int(value) => self.int(*value),
            PtValue::Float(value) => {
                self.out.push(op::BINFLOAT);
                self.out.extend(value.to_be_bytes());
            }
            PtValue::Str(text) => self.text(text)?,
            PtValue::Bool(value) => self
                .out
                .push(if *value { op::NEWTRUE } else { op::NEWFALSE }),
            PtValue::None => self.out.push(op::NONE),
            PtValue::Other(what) => {
                let what = what.clone();
                return Err(PtProblem::NotWritten { what });
            }
        }
        Ok(())
    }

    /// A call of `_rebuild_tensor_v2` on a storage that holds exactly this tensor.
    fn tensor(&mut self, dtype: DType, shape: &[usize], key: usize) {
        let strides = row_major_strides(shape);
        let count: usize = shape.iter().product();
        self.global("torch._utils\n_rebuild_tensor_v2");
        self.out.push(op::MARK);

        self.out.push(op::MARK);
        self.word("storage");
        self.global(storage_class(dtype));
        // A key is a short number, so this never fails.
        self.short_text(&key.to_string());
        self.word("cpu");
        self.int(count as i64);
        self.end_tuple(5);
        self.out.push(op::BINPERSID);

        self.int(0);
        self.sizes(shape);
        self.sizes(&strides);
        self.out.push(op::NEWFALSE); // requires no gradient
        self.global("collections\nOrderedDict"); // and has no hooks
        self.end_tuple(0);
        self.out.push(op::REDUCE);
        self.memoize();

        self.end_tuple(6);
        self.out.push(op::REDUCE);
        self.memoize();
    }

    fn sizes(&mut self, sizes: &[usize]) {
        if sizes.len() > 3 {
            self.out.push(op::MARK);
        }
        for &size in sizes {
            self.int(size as i64);
        }
        self.end_tuple(sizes.len());
    }

    /// Makes a tuple of the last values, in front of which there is a mark if they are many.
    fn end_tuple(&mut self, len: usize) {
        match len {
            0 => return self.out.push(op::EMPTY_TUPLE), // the only empty tuple; never in the memo
            1 => self.out.push(op::TUPLE1),
            2 => self.out.push(op::TUPLE2),
            3 => self.out.push(op::TUPLE3),
            _ => self.out.push(op::TUPLE),
        }
        self.memoize();
    }

    fn begin_batch(&mut self, len: usize) {
        if len > 1 {
            self.out.push(op::MARK);
        }
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = u8::try_from(value) {
            self.out.extend([op::BININT1, value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.out.push(op::BININT2);
            self.out.extend(value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(op::BININT);
            self.out.extend(value.to_le_bytes());
        } else {
            // The fewest bytes whose last one has the sign.
            let bytes = value.to_le_bytes();
            let fill = if value < 0 { 0xff } else { 0 };
            let mut len = 8;
            while len > 1 && bytes[len - 1] == fill && (bytes[len - 2] ^ fill) < 0x80 {
                len -= 1;
            }
            self.out.extend([op::LONG1, len as u8]);
            self.out.extend(&bytes[..len]);
        }
    }

    fn text(&mut self, text: &str) -> Result<(), PtProblem> {
        let too_long = PtProblem::TextTooLong {
            what: "a string",
            len: text.len(),
        };
        u32::try_from(text.len()).map_err(|_| too_long)?;
        self.short_text(text);
        Ok(())
    }

    /// A string shorter than 4 GiB.
    fn short_text(&mut self, text: &str) {
        self.out.push(op::BINUNICODE);
        self.out.extend((text.len() as u32).to_le_bytes());
        self.out.extend(text.as_bytes());
        self.memoize();
    }

    /// A word that is one and the same object in Python wherever it comes.
    fn word(&mut self, word: &'static str) {
        if !self.recall(word) {
            self.short_text(word);
            self.known.insert(word, self.memoized - 1);
        }
    }

    /// A class or function: its module, a newline, its name.
    fn global(&mut self, name: &'static str) {
        if !self.recall(name) {
            self.out.push(op::GLOBAL);
            self.out.extend(name.as_bytes());
            self.out.push(b'\n');
            self.memoize();
            self.known.insert(name, self.memoized - 1);
        }
    }

    fn recall(&mut self, name: &str) -> bool {
        let Some(&key) = self.known.get(name) else {
            return false;
        };
        self.keyed(op::BINGET, op::LONG_BINGET, key);
        true
    }

    fn memoize(&mut self) {
        self.keyed(op::BINPUT, op::LONG_BINPUT, self.memoized);
        self.memoized += 1;
    }

    fn keyed(&mut self, short: u8, long: u8, key: u32) {
        match u8::try_from(key) {
            Ok(key) => self.out.extend([short, key]),
            Err(_) => {
                self.out.push(long);
                self.out.extend(key.to_le_bytes());
            }
        }
    }
}

fn storage_class(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "torch\nBoolStorage",
        DType::U8 => "torch\nByteStorage",
        DType::I8 => "torch\nCharStorage",
        DType::I16 => "torch\nShortStorage",
        DType::I32 => "torch\nIntStorage",
        DType::I64 => "torch\nLongStorage",
        DType::F16 => "torch\nHalfStorage",
        DType::BF16 => "torch\nBFloat16Storage",
        DType::F32 => "torch\nFloatStorage",
        DType::F64 => "torch\nDoubleStorage",
    }
}
