//! Questions asked of two builds: where they part, and by how much.
//!
//! A [`Side`] is whatever of a build is on disk: a recorded run, an index folder, or one file of
//! tensors. [`diff()`] puts two of them beside each other, artifact by artifact in the order of the graph,
//! so that the first row that differs is where the builds parted.
//!
//! The decision behind it: every kind of side answers the same question, "what do you know of this
//! artifact?", with the same three things, a dtype and shape, the hashes of its chunks, and its elements,
//! any of which may be missing. The comparison takes the best that both have (hashes need no values,
//! values need no common grid, and a hash on one side can be held against values on the other) and says
//! which it was. Where neither suffices the row says "unknown". The alternative, a comparison for each
//! pair of kinds, would have to be written six times, and would disagree with itself.
//!
//! Elements are read in small pieces, so memory does not grow with the size of the tensors.

pub mod diff;
mod elements;
pub mod explain;
pub mod formula;
pub mod matrix;
mod nearer;
pub mod reveal;
mod side;
pub mod sweep;

pub use diff::{DiffError, DiffOptions, DiffProgress, DiffReport, Verdict, diff};
pub use elements::ElementsError;
pub use nearer::Nearer;
pub use side::{Side, SideError, SideKind};
