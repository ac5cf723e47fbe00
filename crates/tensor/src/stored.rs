//! Tensors in files, of whatever element type.

use crate::element_type::ElementType;
use crate::source::TensorSource;

/// A tensor in a file whose elements need not be of a [`DType`](crate::DType).
#[derive(Clone, Debug)]
pub struct StoredTensor {
    source: TensorSource,
    /// The name of the type and the shape, where the source has bytes instead of elements.
    bits: Option<Box<(ElementType, Vec<usize>)>>,
}

impl StoredTensor {
    /// A tensor whose elements are `elements`, and of which `bytes` gives the bytes in row-major order.
    pub(crate) fn of_bits(
        elements: ElementType,
        shape: Vec<usize>,
        bytes: TensorSource,
    ) -> StoredTensor {
        StoredTensor {
            source: bytes,
            bits: Some(Box::new((elements, shape))),
        }
    }

    pub fn element_type(&self) -> ElementType {
        match &self.bits {
            Some(bits) => bits.0.clone(),
            None => self.source.dtype().into(),
        }
    }

    /// The size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        match &self.bits {
            Some(bits) => &bits.1,
            None => self.source.shape(),
        }
    }

    /// Its elements, in row-major order: those of [`ElementType::Bits`] as bytes, whose shape says nothing.
    pub fn source(&self) -> &TensorSource {
        &self.source
    }

    /// The tensor, if its elements are of a [`DType`](crate::DType).
    pub fn known(self) -> Option<TensorSource> {
        self.bits.is_none().then_some(self.source)
    }
}

impl From<TensorSource> for StoredTensor {
    fn from(source: TensorSource) -> StoredTensor {
        StoredTensor { source, bits: None }
    }
}
