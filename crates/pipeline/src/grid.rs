//! How passages are cut into chunks.

use std::ops::Range;

/// Passages that are encoded, hashed and stored together.
pub const GROUP: usize = 1000;

/// The most passages in one chunk of the on-disk index; a multiple of [`GROUP`].
const INDEX_CHUNK: usize = 25_000;

/// The cut of a collection into chunks, a function of its size alone.
///
/// Two cuts nest. The on-disk index has chunks of `min(25000, 1 + N)` passages, which is ColBERT's rule
/// for one process. Within each, passages are computed and stored in groups of 1000: little enough to
/// hold in memory and to lose in a crash. Batch size and threads play no part in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    passages: usize,
}

impl Grid {
    /// The grid of a collection of that many passages.
    pub fn new(passages: usize) -> Grid {
        Grid { passages }
    }

    pub fn passages(&self) -> usize {
        self.passages
    }

    /// The number of chunks that artifacts are cut into.
    pub fn chunks(&self) -> usize {
        self.passages.div_ceil(GROUP)
    }

    /// The passages of a chunk.
    pub fn chunk(&self, chunk: usize) -> Range<usize> {
        self.passages.min(chunk * GROUP)..self.passages.min((chunk + 1) * GROUP)
    }

    /// The chunks that make up each chunk of the on-disk index.
    pub fn index_chunks(&self) -> Vec<Range<usize>> {
        let size = INDEX_CHUNK.min(1 + self.passages).div_ceil(GROUP);
        (0..self.chunks())
            .step_by(size)
            .map(|c| c..self.chunks().min(c + size))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_cuts_cover_the_passages_in_order_and_nest(passages in 0usize..120_000) {
            let grid = Grid::new(passages);
            let ends: Vec<usize> = (0..grid.chunks()).flat_map(|c| grid.chunk(c)).collect();
            prop_assert_eq!(ends, (0..passages).collect::<Vec<_>>());
            let size = 25_000.min(1 + passages);
            for (i, chunks) in grid.index_chunks().into_iter().enumerate() {
                prop_assert_eq!(grid.chunk(chunks.start).start, i * size);
                prop_assert_eq!(grid.chunk(chunks.end - 1).end, passages.min((i + 1) * size));
            }
            prop_assert_eq!(grid.index_chunks().len(), passages.div_ceil(size));
        }
    }
}
