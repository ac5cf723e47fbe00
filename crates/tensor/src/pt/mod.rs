//! Files of `torch.save`: `.pt`, `.pth`, `.bin`.
//!
//! Such a file is a ZIP archive of uncompressed entries: a pickle that describes a value, and one
//! entry of raw elements for each storage that tensors in it lie in. A pickle is a program, and
//! unpickling one runs it; the reader here instead interprets the few instructions that
//! describing tensors takes and refuses everything else by name, so a file from anywhere can be
//! opened. It reads what PyTorch writes since 1.6, of either layout of entries, with tensors of
//! any strides.
//!
//! The writer makes the bytes that PyTorch 1.13 makes, later ones' having a few entries more, for
//! two reasons: the ColBERT reference maps index files into memory at the position where that
//! layout has the elements, and two indexes can then be compared with any tool.

mod archive;
mod global;
mod opcode;
mod pickle;
mod pickle_writer;
pub(crate) mod problem;
mod reader;
mod rebuild;
mod resolve;
mod unpickled;
mod value;
mod writer;
mod zip_writer;

pub use problem::PtProblem;
pub use reader::{open, open_container, read, read_tensor, read_tensors};
pub use value::PtValue;
pub use writer::{TensorFileWriter, write, write_to};
