//! Tensors as bits: dtypes, hashes, closeness, and the files they live in.
//!
//! Everything Concord does comes down to the question whether two tensors are the same, so this
//! crate decides what "the same" means: equal dtype, equal shape, equal bits. A [`Tensor`] is
//! therefore plain data (a dtype, a shape, and elements in row-major order) with a [`BitHash`]
//! over exactly that, and carries no strides, no device and no arithmetic. Views of other layouts
//! exist only in files, and the readers resolve them. The alternative, a tensor with strides as
//! array libraries have it, would make "these bytes" depend on how a value came to be.
//!
//! Files are opened before they are read: [`open_tensors`], [`pt::open`], [`safetensors::open`]
//! and [`npy::open`] give [`TensorSource`]s, which know dtype and shape and fetch elements by
//! position when asked. So a tensor larger than memory can be hashed and compared.
//!
//! ```
//! use concord_tensor::closeness::{Comparison, Tolerance, compare};
//! use concord_tensor::{DType, Tensor};
//!
//! let a = Tensor::new([2, 2], vec![1.0_f32, 2.0, 3.0, 0.1])?;
//! let b = a.cast(DType::F16)?.cast(DType::F32)?;
//! assert_ne!(a.hash(), b.hash());
//!
//! let Comparison::Compared(report) = compare(&a, &b, Tolerance::default()) else {
//!     unreachable!("a cast keeps the shape")
//! };
//! assert_eq!(report.differing, 1);
//! assert_eq!(report.first_difference.map(|place| place.index), Some(vec![1, 1]));
//! # Ok::<(), concord_tensor::TensorError>(())
//! ```

#![forbid(unsafe_code)]

#[cfg(not(target_endian = "little"))]
compile_error!("tensors are kept in memory as the files have them, which is little-endian");

mod atomic_file;
mod budget;
mod cast;
pub mod closeness;
mod container;
mod dtype;
mod element;
mod element_type;
mod error;
mod file_error;
mod finite;
mod hash;
mod layout;
pub mod npy;
pub mod npz;
mod open;
mod open_folder;
pub mod pt;
mod regular_file;
mod rows_hash;
pub mod safetensors;
pub mod shards;
mod sniff;
mod source;
mod stored;
mod tensor;
pub mod unfinished;
mod zip_directory;

pub use atomic_file::{Action, AtomicFile, AtomicFileError, Durability};
pub use container::Container;
pub use dtype::{DType, UnknownDType};
pub use element::Element;
pub use element_type::ElementType;
pub use error::TensorError;
pub use file_error::{FileError, FileProblem};
pub use hash::{BitHash, ByteHasher, ParseHashError, TensorHasher};
pub use open::{Contents, NamedTensors, open_contents, open_tensors};
pub use open_folder::OpenFolder;
pub use regular_file::{open_regular, read_regular, read_to_limit};
pub use rows_hash::{HashRule, ParseRowsHashError, RowsHash};
pub use source::{Chunks, TensorSource};
pub use stored::StoredTensor;
pub use tensor::Tensor;
