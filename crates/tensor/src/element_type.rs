//! Element types as files name them, those included that are only compared as bits.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dtype::DType;

/// The type of the elements of a tensor in a file.
///
/// Text and JSON show its name, `"f32"` or `"f8_e4m3fn"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ElementType {
    /// One that can be computed with.
    Known(DType),
    /// Another one, whose elements are bits and nothing else here: equal if their bytes are.
    ///
    /// One type has one name, whatever the formats call it: PyTorch's `uint16`, the `U16` of `.safetensors`
    /// and NumPy's `<u2` are `u16`. A type that is not known at all has the name its format gives it.
    Bits(Cow<'static, str>),
}

impl ElementType {
    /// The name, as messages and JSON show it.
    pub fn name(&self) -> &str {
        match self {
            ElementType::Known(dtype) => dtype.name(),
            ElementType::Bits(name) => name,
        }
    }
}

impl From<DType> for ElementType {
    fn from(dtype: DType) -> ElementType {
        ElementType::Known(dtype)
    }
}

impl PartialEq<DType> for ElementType {
    fn eq(&self, dtype: &DType) -> bool {
        *self == ElementType::Known(*dtype)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
