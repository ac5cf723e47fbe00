//! What the fuzz targets share: looking at every element a reader hands out, folders whose files come from the
//! fuzzer, and panics that a reader catches.
//!
//! A target feeds bytes to a reader. An error is a fine answer; a panic, a hang or memory out of
//! proportion to the file is a bug, and so is what a target's own assertions say. The [README](../README.md) says how
//! targets are run.

mod base;
mod folder;
mod panics;
mod tensors;

pub use base::{build_index, record_run};
pub use folder::{Folder, Whole, encode, golden};
pub use panics::only_panics_that_escape;
pub use tensors::read_all;
