//! The classes and functions that pickles of tensors name.

use crate::dtype::DType;

/// A class or function a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    /// The class of a storage with elements of this type.
    Storage(DType),
}

const GLOBALS: [(&str, Global); 15] = [
    ("collections.OrderedDict", Global::OrderedDict),
    ("torch.Size", Global::Size),
    ("torch._utils._rebuild_tensor", Global::RebuildTensor),
    ("torch._utils._rebuild_tensor_v2", Global::RebuildTensorV2),
    ("torch._utils._rebuild_parameter", Global::RebuildParameter),
    ("torch.BoolStorage", Global::Storage(DType::Bool)),
    ("torch.ByteStorage", Global::Storage(DType::U8)),
    ("torch.CharStorage", Global::Storage(DType::I8)),
    ("torch.ShortStorage", Global::Storage(DType::I16)),
    ("torch.IntStorage", Global::Storage(DType::I32)),
    ("torch.LongStorage", Global::Storage(DType::I64)),
    ("torch.HalfStorage", Global::Storage(DType::F16)),
    ("torch.BFloat16Storage", Global::Storage(DType::BF16)),
    ("torch.FloatStorage", Global::Storage(DType::F32)),
    ("torch.DoubleStorage", Global::Storage(DType::F64)),
];

impl Global {
    /// The global of that module and name, if it is one that tensors need.
    pub(crate) fn named(name: &str) -> Option<Global> {
        GLOBALS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, global)| global)
    }

    /// Its module and name, joined by a dot.
    pub(crate) fn name(self) -> &'static str {
        // Every variant is in the table, so the empty name is never seen.
        GLOBALS
            .iter()
            .find(|&&(_, global)| global == self)
            .map_or("", |&(name, _)| name)
    }
}
