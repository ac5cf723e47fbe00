//! What is asked of a search.

use concord_kernels::maxsim::Floor;

use super::passages::PassageSet;

/// What decides how much is searched. Unset values follow from `k` at every call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SearchOptions {
    /// Centroids that each query token picks.
    pub ncells: Option<usize>,
    /// How near a centroid must come to some query token to count in the first filter.
    pub centroid_score_threshold: Option<f32>,
    /// Candidates that the first filter keeps.
    pub ndocs: Option<usize>,
    /// Where the maximum over a passage's tokens starts; [`Floor::Zero`] is what the reference does on
    /// a CPU.
    pub floor: Floor,
}

/// [`SearchOptions`] with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchPlan {
    /// Centroids per query token.
    pub ncells: usize,
    /// The threshold of the first filter.
    pub centroid_score_threshold: f32,
    /// Candidates that the first filter keeps.
    pub ndocs: usize,
    /// Where maxima start.
    pub floor: Floor,
}

impl SearchOptions {
    /// The options for `k` results: what is unset is the reference's default for that `k`.
    pub fn for_k(&self, k: usize) -> SearchPlan {
        let (ncells, threshold, ndocs) = match k {
            0..=10 => (1, 0.5, 256),
            11..=100 => (2, 0.45, 1024),
            _ => (4, 0.4, k.saturating_mul(4).max(4096)),
        };
        SearchPlan {
            ncells: self.ncells.unwrap_or(ncells),
            centroid_score_threshold: self.centroid_score_threshold.unwrap_or(threshold),
            ndocs: self.ndocs.unwrap_or(ndocs),
            floor: self.floor,
        }
    }
}

/// Which passages are searched, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The results wanted; there are fewer where fewer passages are searched.
    pub k: usize,
    /// Of them, an exact search heeds [`SearchOptions::floor`] alone.
    pub options: SearchOptions,
    /// Whether the best `k` of all passages are found for certain, instead of those of the passages that the stages
    /// keep.
    pub exact: bool,
    /// The passages that are searched; all where there is none.
    pub among: Option<&'a PassageSet>,
}

impl Request<'_> {
    /// The reference's stages over all passages.
    pub fn new(k: usize, options: &SearchOptions) -> Request<'static> {
        Request {
            k,
            options: *options,
            exact: false,
            among: None,
        }
    }
}
