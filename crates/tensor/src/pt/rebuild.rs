//! The classes and functions that pickles of tensors name, and what calling them gives.

use super::global::Global;
use super::problem::MAX_DIMENSIONS;
use super::unpickled::{Id, StorageRef, Value, Values, View};

/// The longest key of a storage read. PyTorch numbers storages, so keys have a few digits; a bound
/// keeps the time to look one up from being the file's to choose.
const MAX_KEY: usize = 255;

/// The storage that a persistent id stands for.
///
/// It is the tuple ("storage", class, key, location, count). The location, such as `"cpu"` or
/// `"cuda:0"`, says where the tensor was and has no bearing on its bits.
pub(crate) fn storage(values: &Values, id: Id) -> Result<StorageRef, &'static str> {
    let Value::Tuple(fields) = values.get(id) else {
        return Err("it is not a tuple");
    };
    let &[kind, class, key, location, count] = fields.as_slice() else {
        return Err("it does not have five fields");
    };
    match values.get(kind) {
        Value::Str(kind) if **kind == *"storage" => {}
        _ => return Err("it is not that of a storage"),
    }
    let &Value::Global(Global::Storage(dtype)) = values.get(class) else {
        return Err("its class is not that of a storage");
    };
    let (Value::Str(key), Value::Str(_)) = (values.get(key), values.get(location)) else {
        return Err("key and location are not strings");
    };
    if key.len() > MAX_KEY {
        return Err("the key is longer than any that PyTorch makes");
    }
    let count = match values.get(count) {
        &Value::Int(count) => u64::try_from(count).map_err(|_| "the element count is negative")?,
        _ => return Err("the element count is not an integer"),
    };
    Ok(StorageRef {
        dtype,
        key: key.clone(),
        count,
    })
}

/// What a call returns.
#[derive(Debug)]
pub(crate) enum Called {
    /// A value that is new.
    Made(Value),
    /// One of the arguments, as it is.
    Argument(Id),
}

/// Calls a function with its arguments.
pub(crate) fn call(
    values: &Values,
    function: Global,
    arguments: &[Id],
) -> Result<Called, &'static str> {
    match (function, arguments) {
        (Global::OrderedDict, []) => Ok(Called::Made(Value::Dict(Vec::new()))),
        (Global::OrderedDict, _) => Err("an OrderedDict is made empty and filled afterwards"),
        (Global::Size, &[sizes]) => match values.get(sizes) {
            Value::Tuple(_) => Ok(Called::Argument(sizes)),
            _ => Err("the sizes are not a tuple"),
        },
        (Global::RebuildTensor, &[storage, offset, shape, strides]) => {
            view(values, storage, offset, shape, strides)
        }
        (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _]) => {
            view(values, storage, offset, shape, strides)
        }
        (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _, metadata]) => {
            match values.get(metadata) {
                Value::None => view(values, storage, offset, shape, strides),
                Value::Dict(flags) if flags.is_empty() => {
                    view(values, storage, offset, shape, strides)
                }
                _ => Err(
                    "the tensor is a negated or conjugated view; call resolve_neg() or \
                          resolve_conj() on it before saving",
                ),
            }
        }
        (Global::RebuildParameter, &[data, _, _]) => match values.get(data) {
            Value::Tensor(_) => Ok(Called::Argument(data)),
            _ => Err("the parameter's data is not a tensor"),
        },
        (Global::Storage(_), _) => Err("a storage is named by a persistent id, not called"),
        _ => Err("their number is wrong"),
    }
}

fn view(
    values: &Values,
    storage: Id,
    offset: Id,
    shape: Id,
    strides: Id,
) -> Result<Called, &'static str> {
    let Value::Storage(storage) = values.get(storage) else {
        return Err("the first is not a storage");
    };
    let offset = index(values, offset)?;
    let shape = indices(values, shape)?;
    let strides = indices(values, strides)?;
    if shape.len() != strides.len() {
        return Err("there are not as many strides as dimensions");
    }
    let storage = storage.clone();
    Ok(Called::Made(Value::Tensor(View {
        storage,
        offset,
        shape,
        strides,
    })))
}

fn indices(values: &Values, id: Id) -> Result<Vec<usize>, &'static str> {
    match values.get(id) {
        Value::Tuple(items) if items.len() > MAX_DIMENSIONS => {
            Err("there are more than the 64 dimensions that PyTorch allows")
        }
        Value::Tuple(items) => items.iter().map(|&item| index(values, item)).collect(),
        _ => Err("shape or strides are not a tuple"),
    }
}

fn index(values: &Values, id: Id) -> Result<usize, &'static str> {
    match values.get(id) {
        &Value::Int(value) => {
            usize::try_from(value).map_err(|_| "an offset, size or stride is negative")
        }
        _ => Err("an offset, size or stride is not an integer"),
    }
}
