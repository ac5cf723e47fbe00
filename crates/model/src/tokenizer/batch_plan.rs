//! Which documents the reference runs through the encoder together.

use std::num::NonZeroUsize;
use std::ops::Range;

/// The reference's batches over a list of documents: sorted by length, cut into slices.
///
/// The width of the padding is that of the longest document of the *list*, in every slice. In
/// Concord's own arithmetic neither matters, since a document's embeddings depend on its own
/// tokens alone; the plan exists to name batches, and to rebuild what the reference computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    order: Vec<usize>,
    reverse_indices: Vec<usize>,
    bsize: usize,
    width: usize,
}

impl BatchPlan {
    /// The plan for documents of these lengths (in tokens, padding not counted), in slices of
    /// `bsize`.
    ///
    /// Up to `bsize` documents keep their order. More are sorted by ascending length. The sort
    /// is stable, where the reference's is not: documents of one length may stand in another
    /// order there, which changes the composition of its batches and nothing else.
    pub fn new(lengths: &[usize], bsize: NonZeroUsize) -> BatchPlan {
        let bsize = bsize.get();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        if lengths.len() > bsize {
            order.sort_by_key(|&document| lengths[document]);
        }
        let mut reverse_indices = vec![0; lengths.len()];
        for (place, &document) in order.iter().enumerate() {
            reverse_indices[document] = place;
        }
        BatchPlan {
            order,
            reverse_indices,
            bsize,
            width: lengths.iter().copied().max().unwrap_or(0),
        }
    }

    /// The documents in the order in which they are run.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The place of each document in [`BatchPlan::order`]: applied to the concatenated outputs
    /// of the slices it restores the order of the list.
    pub fn reverse_indices(&self) -> &[usize] {
        &self.reverse_indices
    }

    /// The documents of each slice.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = &[usize]> {
        self.order.chunks(self.bsize)
    }

    /// For each slice the range of [`BatchPlan::order`] that it covers.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let documents = self.order.len();
        (0..documents.div_ceil(self.bsize)).map(move |slice| {
            let start = slice * self.bsize;
            start..(start + self.bsize).min(documents)
        })
    }

    /// The tokens that every document is padded to.
    pub fn width(&self) -> usize {
        self.width
    }
}
