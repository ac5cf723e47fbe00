//! Reads the workspace's own sources: which files there are, and which of them use which.
//!
//! A file *uses* another if its code, tests left out, names something of it: in a `use`, or in a path
//! such as `super::Plan` or `codec::pack`. `mod codec;` alone uses nothing. A name that a parent only hands on
//! counts as the parent's: whoever goes by `crate::Value` uses `lib.rs`, and `lib.rs` uses `value.rs`.

mod paths;
mod source;

pub use source::{Crate, SourceFile, crates, workspace};
