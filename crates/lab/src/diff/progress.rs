//! How far a comparison has come.

/// How far the comparison of one row has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffProgress<'a> {
    pub name: &'a str,
    /// Bytes of each side compared so far.
    pub done: u64,
    /// Bytes of each side in all.
    pub total: u64,
}
