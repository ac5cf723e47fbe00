//! The classes and functions that pickles name.
//!
//! Those that tensors and plain data are made of are known; of any other the name is kept.

use super::elements::Element;

/// A class or function that means something to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildTensorV2,
    /// That of types without a class of storages: the storage has bytes, and the type is an argument.
    RebuildTensorV3,
    RebuildParameter,
    /// What makes bytes of a string where the protocol has no instruction for them.
    Encode,
    Bytes,
    ByteArray,
    Set,
    FrozenSet,
    /// The class of a storage with elements of this type.
    Storage(Element),
    /// A type of elements.
    ElementType(Element),
    /// Any other: kept by its name, and never called.
    Other,
}

const GLOBALS: [(&str, &str, Global); 12] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch", "Size", Global::Size),
    ("torch._utils", "_rebuild_tensor", Global::RebuildTensor),
    (
        "torch._utils",
        "_rebuild_tensor_v2",
        Global::RebuildTensorV2,
    ),
    (
        "torch._utils",
        "_rebuild_tensor_v3",
        Global::RebuildTensorV3,
    ),
    (
        "torch._utils",
        "_rebuild_parameter",
        Global::RebuildParameter,
    ),
    ("_codecs", "encode", Global::Encode),
    ("builtins", "bytes", Global::Bytes),
    ("builtins", "bytearray", Global::ByteArray),
    ("builtins", "set", Global::Set),
    ("builtins", "frozenset", Global::FrozenSet),
    (
        "torch.storage",
        "UntypedStorage",
        Global::Storage(Element::UNTYPED),
    ),
];

/// Modules that have another name in later versions of what they belong to: of Python, whose protocols below
/// 3 write the names of Python 2, and of NumPy.
const RENAMED: [(&str, &str); 4] = [
    ("__builtin__", "builtins"),
    ("copy_reg", "copyreg"),
    ("numpy.core.multiarray", "numpy._core.multiarray"),
    ("numpy.core.numeric", "numpy._core.numeric"),
];

/// A module's name of today.
pub(crate) fn module_today(module: &str) -> &str {
    let renamed = RENAMED.iter().find(|(old, _)| *old == module);
    renamed.map_or(module, |&(_, new)| new)
}

impl Global {
    /// The global of that module and name.
    pub(crate) fn named(module: &str, name: &str) -> Global {
        let module = module_today(module);
        let known = GLOBALS
            .iter()
            .find(|&&(of, called, _)| of == module && called == name);
        if let Some(&(_, _, global)) = known {
            return global;
        }
        if module != "torch" {
            return Global::Other;
        }
        let storage = Element::of_storage(name).map(Global::Storage);
        storage
            .or_else(|| Element::of_dtype(name).map(Global::ElementType))
            .unwrap_or(Global::Other)
    }

    /// The name of what is called, in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Global::OrderedDict => "collections.OrderedDict",
            Global::Size => "torch.Size",
            Global::RebuildTensor => "torch._utils._rebuild_tensor",
            Global::RebuildTensorV2 => "torch._utils._rebuild_tensor_v2",
            Global::RebuildTensorV3 => "torch._utils._rebuild_tensor_v3",
            Global::RebuildParameter => "torch._utils._rebuild_parameter",
            Global::Encode => "_codecs.encode",
            Global::Bytes => "bytes",
            Global::ByteArray => "bytearray",
            Global::Set => "set",
            Global::FrozenSet => "frozenset",
            Global::Storage(_) | Global::ElementType(_) | Global::Other => "a class or function",
        }
    }
}
