//! How much memory the reader of a file may take.

/// What a small file may take.
const FREE: u64 = 24 << 20;

/// How often what it takes may be the file.
const TIMES: u64 = 3;

/// What the smallest allocation takes.
const LEAST: u64 = 32;

/// Counts the memory that reading one file takes, which is bounded: 24 MiB, and three times the file.
///
/// A description can be much longer than its text: a byte of a pickle can make a value, and two bytes can name
/// a value of any size again. Whoever reads one counts what it allocates, before it does.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    limit: u64,
}

/// The reader would take more memory than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// What it may take, in bytes.
    pub(crate) limit: u64,
}

impl Budget {
    /// That of a file of so many bytes.
    pub(crate) fn of_file(len: u64) -> Budget {
        let limit = len.saturating_mul(TIMES).saturating_add(FREE);
        Budget { left: limit, limit }
    }

    /// Counts `count` new values of type `T` in one of few vectors. What such a vector has ahead of its values is
    /// memory that was not touched, which takes none.
    pub(crate) fn push<T>(&mut self, count: usize) -> Result<(), Exhausted> {
        self.take((count as u64).saturating_mul(size_of::<T>() as u64))
    }

    /// Counts `count` new values of type `T` in one of many vectors that grow by doubling and has `len` of them:
    /// the first takes an allocation of the least size.
    pub(crate) fn grow<T>(&mut self, len: usize, count: usize) -> Result<(), Exhausted> {
        let first = if len == 0 && count > 0 { LEAST } else { 0 };
        let values = (count as u64).saturating_mul(size_of::<T>() as u64);
        self.take(values.saturating_add(values / 2).saturating_add(first))
    }

    /// Counts so many bytes.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Exhausted> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(Exhausted { limit: self.limit })?;
        Ok(())
    }
}
