//! Tensors as bits: dtypes, hashes, closeness, and the files they live in.
//!
//! Everything Concord does comes down to the question whether two tensors are the same, so this
//! crate decides what "the same" means: equal dtype, equal shape, equal bits. A [`Tensor`] is
//! therefore plain data (a dtype, a shape, and elements in row-major order) with a [`BitHash`]
//! over exactly that, and carries no strides, no device and no arithmetic. Views of other layouts
//! exist only in files, and the readers resolve them. The alternative, a tensor with strides as
//! array libraries have it, would make "these bytes" depend on how a value came to be.

#[cfg(not(target_endian = "little"))]
compile_error!("tensors are kept in memory as the files have them, which is little-endian");

mod cast;
mod dtype;
mod element;
mod error;
mod hash;
mod tensor;

pub use dtype::{DType, UnknownDType};
pub use element::Element;
pub use error::TensorError;
pub use hash::{BitHash, ByteHasher, ParseHashError, TensorHasher};
pub use tensor::Tensor;
