//! What calling the classes and functions gives that tensors and plain data are made of.

use super::elements::Element;
use super::global::Global;
use super::problem::{MAX_DIMENSIONS, PtProblem};
use super::unpickled::{
    BytesForm, Dict, Id, Sequence, Span, StorageRef, Value, Values, View, text,
};

/// The longest key of a storage read. PyTorch numbers storages, so keys have a few digits; a bound
/// keeps the time to look one up from being the file's to choose.
const MAX_KEY: usize = 255;

/// Why a call has no result.
pub(super) enum NoResult {
    /// The arguments are none that the function takes.
    Wrong(&'static str),
    /// The pickle takes more memory than it may.
    Exhausted(PtProblem),
}

impl From<&'static str> for NoResult {
    fn from(problem: &'static str) -> NoResult {
        NoResult::Wrong(problem)
    }
}

impl From<PtProblem> for NoResult {
    fn from(problem: PtProblem) -> NoResult {
        NoResult::Exhausted(problem)
    }
}

/// The storage that a persistent id stands for; `None` for one of a class that is not known.
///
/// It is the tuple ("storage", class, key, location, count). The location, such as `"cpu"` or
/// `"cuda:0"`, says where the tensor was and has no bearing on its bits.
pub(super) fn storage(
    pickle: &[u8],
    values: &Values,
    id: Id,
) -> Result<Option<StorageRef>, &'static str> {
    let fields = values.as_tuple(id).ok_or("it is not a tuple")?;
    let &[kind, class, key, location, count] = fields else {
        return Err("it does not have five fields");
    };
    match values.get(kind) {
        Value::Str(kind) if text(pickle, kind) == "storage" => {}
        _ => return Err("it is not that of a storage"),
    }
    let Value::Global(class) = values.get(class) else {
        return Err("its class is not that of a storage");
    };
    let (Value::Str(key), Value::Str(_)) = (values.get(key), values.get(location)) else {
        return Err("key and location are not strings");
    };
    if key.len as usize > MAX_KEY {
        return Err("the key is longer than any that PyTorch makes");
    }
    let count = match values.get(count) {
        Value::Int(count) => u64::try_from(count).map_err(|_| "the element count is negative")?,
        _ => return Err("the element count is not an integer"),
    };
    Ok(match values.globals[class as usize].global {
        Global::Storage(element) => Some(StorageRef {
            element,
            key,
            count,
        }),
        _ => None,
    })
}

/// What a call returns.
#[derive(Debug)]
pub(super) enum Called {
    /// A value that is new.
    Made(Value),
    /// One of the arguments, as it is.
    Argument(Id),
    /// Something that is kept as it is described.
    Opaque,
}

/// Calls a function with its arguments.
pub(super) fn call(
    pickle: &[u8],
    values: &mut Values,
    function: Global,
    arguments: Span,
) -> Result<Called, NoResult> {
    let mut taken = [Id(0); 8];
    let len = arguments.len as usize;
    let given = arguments.of(&values.items);
    if len > taken.len() {
        return match function {
            Global::Other | Global::Storage(_) | Global::ElementType(_) => Ok(Called::Opaque),
            _ => Err("their number is wrong".into()),
        };
    }
    taken[..len].copy_from_slice(given);
    match (function, &taken[..len]) {
        (Global::OrderedDict, []) => {
            let dict = Dict {
                ordered: true,
                ..Dict::default()
            };
            let dict = values.add_to(|values| &mut values.dicts, dict)?;
            Ok(Called::Made(Value::Dict(dict)))
        }
        (Global::OrderedDict, _) => {
            Err("an OrderedDict is made empty and filled afterwards".into())
        }
        (Global::Size, &[sizes]) => match values.get(sizes) {
            Value::Tuple(sizes) | Value::Size(sizes) => Ok(Called::Made(Value::Size(sizes))),
            _ => Err("the sizes are not a tuple".into()),
        },
        (Global::RebuildTensor, &[storage, offset, shape, strides])
        | (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _]) => {
            view(values, storage, None, [offset, shape, strides])
        }
        (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _, flags]) => {
            if has_flags(values, flags) {
                return Ok(Called::Opaque);
            }
            view(values, storage, None, [offset, shape, strides])
        }
        (
            Global::RebuildTensorV3,
            &[storage, offset, shape, strides, _, _, dtype, ref flags @ ..],
        ) => {
            let Value::Global(dtype) = values.get(dtype) else {
                return Err("the dtype is none".into());
            };
            match values.globals[dtype as usize].global {
                Global::ElementType(element)
                    if !flags.iter().any(|&flags| has_flags(values, flags)) =>
                {
                    view(values, storage, Some(element), [offset, shape, strides])
                }
                _ => Ok(Called::Opaque),
            }
        }
        (Global::RebuildParameter, &[data, _, _]) => match values.get(data) {
            Value::Tensor(_) => Ok(Called::Argument(data)),
            Value::Object(_) => Ok(Called::Opaque),
            _ => Err("the parameter's data is not a tensor".into()),
        },
        (Global::Encode | Global::ByteArray, &[string, encoding]) => {
            match (values.get(string), values.get(encoding)) {
                (Value::Str(string), Value::Str(encoding))
                    if matches!(text(pickle, encoding), "latin1" | "latin-1")
                        && text(pickle, string).chars().all(|c| u32::from(c) < 256) =>
                {
                    Ok(Called::Made(latin1(string, function == Global::ByteArray)))
                }
                _ => Ok(Called::Opaque),
            }
        }
        (Global::Bytes | Global::ByteArray, []) => {
            let mutable = function == Global::ByteArray;
            Ok(Called::Made(latin1(Span { start: 0, len: 0 }, mutable)))
        }
        (Global::ByteArray, &[bytes]) => match values.get(bytes) {
            Value::Bytes(bytes, form) => {
                let mutable = true;
                Ok(Called::Made(Value::Bytes(
                    bytes,
                    BytesForm { mutable, ..form },
                )))
            }
            _ => Ok(Called::Opaque),
        },
        (Global::Set | Global::FrozenSet, &[list]) => match values.get(list) {
            Value::List(list) => {
                let len = values.lists[list as usize].items.len();
                values.budget.grow::<Id>(0, len).map_err(PtProblem::from)?;
                let items = values.lists[list as usize].items.clone();
                let frozen = function == Global::FrozenSet;
                let set = values.add_to(|values| &mut values.sets, Sequence { items, frozen })?;
                Ok(Called::Made(Value::Set(set)))
            }
            _ => Ok(Called::Opaque),
        },
        (
            Global::Storage(_)
            | Global::ElementType(_)
            | Global::Other
            | Global::Bytes
            | Global::ByteArray
            | Global::Set
            | Global::FrozenSet
            | Global::Encode,
            _,
        ) => Ok(Called::Opaque),
        _ => Err("their number is wrong".into()),
    }
}

/// Bytes that are written as characters.
fn latin1(string: Span, mutable: bool) -> Value {
    let latin1 = true;
    Value::Bytes(string, BytesForm { latin1, mutable })
}

/// Whether a tensor is a negated or conjugated view, whose bits are not those of its elements.
fn has_flags(values: &Values, flags: Id) -> bool {
    match values.get(flags) {
        Value::None => false,
        Value::Dict(flags) => !values.dicts[flags as usize].items.is_empty(),
        _ => true,
    }
}

/// A view of a storage, with elements of that type where it is not the storage's.
fn view(
    values: &mut Values,
    storage: Id,
    element: Option<Element>,
    [offset, shape, strides]: [Id; 3],
) -> Result<Called, NoResult> {
    let storage = match values.get(storage) {
        Value::Storage(storage) => storage,
        // A storage of a class that is not known.
        Value::Object(_) => return Ok(Called::Opaque),
        _ => return Err("the first is not a storage".into()),
    };
    let offset = index(values, offset)?;
    let dimensions = dimensions(values, shape)?;
    if dimensions != self::dimensions(values, strides)? {
        return Err("there are not as many strides as dimensions".into());
    }
    values
        .budget
        .push::<u64>(2 * dimensions)
        .map_err(PtProblem::from)?;
    let start = values.sizes.len() as u32;
    for sizes in [shape, strides] {
        for place in 0..dimensions {
            let size = values.as_tuple(sizes).map(|sizes| sizes[place]);
            let size = index(values, size.unwrap_or(sizes))?;
            values.sizes.push(size);
        }
    }
    let (start, len) = (start, dimensions as u32);
    let view = View {
        storage,
        element: element.unwrap_or(values.storages[storage as usize].element),
        offset,
        shape: Span { start, len },
    };
    let tensor = values.add_to(|values| &mut values.tensors, view)?;
    Ok(Called::Made(Value::Tensor(tensor)))
}

/// How many sizes or strides there are.
fn dimensions(values: &Values, id: Id) -> Result<usize, &'static str> {
    match values.as_tuple(id) {
        Some(items) if items.len() > MAX_DIMENSIONS => {
            Err("there are more than the 64 dimensions that PyTorch allows")
        }
        Some(items) => Ok(items.len()),
        None => Err("shape or strides are not a tuple"),
    }
}

fn index(values: &Values, id: Id) -> Result<u64, &'static str> {
    match values.get(id) {
        Value::Int(value) => {
            u64::try_from(value).map_err(|_| "an offset, size or stride is negative")
        }
        _ => Err("an offset, size or stride is not an integer"),
    }
}
