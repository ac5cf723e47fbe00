//! Files of `torch.save`: `.pt`, `.pth`, `.bin`.
//!
//! Such a file is a ZIP archive of uncompressed entries: a pickle that describes a value, and one
//! entry of raw elements for each storage that tensors in it lie in. A pickle is a program, and
//! unpickling one runs it; the reader here instead makes data of it: it knows how tensors and plain
//! values are made, and of everything else it keeps what the pickle says of it, without calling
//! anything. So a file from anywhere can be opened, and an object of a class that is not known
//! hides nothing beside it. It reads what PyTorch writes since 1.6, of either layout of entries,
//! with tensors of any strides. A [`PtDocument`] is what the file holds, each value once; a
//! [`PtValue`] is the tree of it that programs use.
//!
//! The writer makes the bytes that PyTorch 1.13 makes, later ones' having a few entries more, for
//! two reasons: the ColBERT reference maps index files into memory at the position where that
//! layout has the elements, and two indexes can then be compared with any tool.

mod archive;
mod document;
mod elements;
mod global;
mod keys;
mod node;
mod opcode;
mod pickle;
mod pickle_writer;
pub(crate) mod problem;
mod reader;
mod rebuild;
mod resolve;
mod unique_keys;
mod unpickled;
mod value;
mod writer;
mod zip_writer;

pub use document::PtDocument;
pub use keys::{Effort, KeyProblem};
pub use node::{DictNode, Node, ObjectNode};
pub use problem::PtProblem;
pub use reader::{open, open_container, read, read_tensor, read_tensors};
pub use unpickled::{Id, Making};
pub use value::PtValue;
pub use writer::{TensorFileWriter, write, write_to};
