//! A checkpoint, a collection and options as an index.
//!
//! [`Native`](native::Native) puts the stages of `model` and `index` together as one graph; everything here evaluates it or
//! reads what came of it. To [`build`](build::build) is to evaluate it into a folder, resumably; to
//! [`rebuild`](rebuild::rebuild) is to evaluate it with nothing remembered and compare hashes; a
//! [`Swap`](swap::Swap) is a stage in front of the one it replaces. [`OpenIndex`](open::OpenIndex) is an index
//! with everything that searching it needs, checked: a search is valid only with the checkpoint, the precision
//! and the contract that the index was built with, and these rules stand here once, for the program and for the
//! library.
//!
//! The alternative, building and opening in the program's commands, was what stood here before: then a library,
//! a server or a wheel has to find out for itself when a search is valid.

pub mod build;
pub mod buildable;
pub mod change;
pub mod checkpoint;
pub mod chosen;
pub mod compare;
pub mod embedded;
pub mod embeddings;
pub mod finite;
pub mod graph;
pub mod index_settings;
pub mod log;
pub mod native;
pub mod occupant;
pub mod open;
pub mod options;
pub mod origin;
mod passages;
pub mod rebuild;
pub mod recorded;
pub mod settings;
pub mod swap;
pub mod texts;
