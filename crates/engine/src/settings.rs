//! What an index depends on beside checkpoint, collection and arithmetic.

use crate::swap::Swap;

/// The reference's seed.
pub const DEFAULT_SEED: u32 = 12345;

/// What the index depends on beside checkpoint, collection and arithmetic. What is unset is what the
/// checkpoint says.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// Bits per residual dimension.
    pub nbits: Option<usize>,
    /// The most tokens of a passage.
    pub doc_maxlen: Option<usize>,
    pub kmeans_niters: Option<usize>,
    /// The seed of the sample and its shuffle.
    pub seed: u32,
    /// Artifacts that are given instead of computed.
    pub swaps: Vec<Swap>,
}

impl Default for IndexSettings {
    fn default() -> IndexSettings {
        IndexSettings {
            nbits: None,
            doc_maxlen: None,
            kmeans_niters: None,
            seed: DEFAULT_SEED,
            swaps: Vec::new(),
        }
    }
}
