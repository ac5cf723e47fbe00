//! The names of the artifacts, as users of ColBERT know them, and their order in the graph.
//!
//! Shapes are those of the native engine. `N` is the number of passages, `E` of embeddings, `C` of
//! centroids, `d` the dimension of an embedding, `b` the bits per residual dimension.

/// The texts of the passages, a source: fields `text` (UTF-8 bytes) and `ends` (end of each passage).
pub const PASSAGES: &str = "passages";
/// `N`, a source.
pub const NUM_PASSAGES: &str = "num_passages";
/// Passages used to train centroids and buckets, ascending: `(n,)` i64.
pub const SAMPLED_PIDS: &str = "sampled_pids";
/// Token ids of each passage without padding: fields `ids` `(tokens,)` and `lengths` `(passages,)`, i64.
pub const TENSORIZE_OUTPUT: &str = "tensorize_output";
/// The encoder's output for every token: fields `D_` `(tokens, d)` f32 and `mask_` `(tokens,)` bool.
pub const BATCHES: &str = "batches";
/// Embeddings of the tokens that are kept: `(E, d)` f32.
pub const D: &str = "D";
/// Kept tokens per passage: `(N,)` i64.
pub const DOCLENS: &str = "doclens";
/// [`D`] rounded to f16, as it is compressed: `(E, d)` f16.
pub const EMBS: &str = "embs";
/// Embeddings of the sampled passages, in the order of pids: `(n, d)` f16.
pub const LOCAL_SAMPLE_EMBS: &str = "local_sample_embs";
/// Sizes derived from the sample: fields `num_partitions`, `num_embeddings_est`, `avg_doclen_est`.
pub const PLAN: &str = "plan";
/// Shuffled training rows for the centroids: `(n − h, d)` f16.
pub const SAMPLE: &str = "sample";
/// The last `h` shuffled rows, for the buckets: `(h, d)` f16.
pub const SAMPLE_HELDOUT: &str = "sample_heldout";
/// Unit-length centroids: `(C, d)` f32.
pub const CENTROIDS: &str = "centroids";
/// Quantisation boundaries: `(2^b − 1,)` f32.
pub const BUCKET_CUTOFFS: &str = "bucket_cutoffs";
/// Reconstruction values: `(2^b,)` f32.
pub const BUCKET_WEIGHTS: &str = "bucket_weights";
/// Mean absolute residual: a scalar f32.
pub const AVG_RESIDUAL: &str = "avg_residual";
/// Centroid of each embedding: `(E,)` i32.
pub const CODES: &str = "codes";
/// Packed residual of each embedding: `(E, d·b/8)` u8.
pub const RESIDUALS: &str = "residuals";
/// The codes in ascending order: `(E,)` i64.
pub const VALUES: &str = "values";
/// Passages of each centroid, ascending, one centroid after another: `(S,)` i32.
pub const IVF: &str = "ivf";
/// Passages per centroid: `(C,)` i64.
pub const IVF_LENGTHS: &str = "ivf_lengths";

/// All names, in the order in which the graph makes them.
pub const ORDER: [&str; 21] = [
    PASSAGES,
    NUM_PASSAGES,
    SAMPLED_PIDS,
    TENSORIZE_OUTPUT,
    BATCHES,
    D,
    DOCLENS,
    EMBS,
    LOCAL_SAMPLE_EMBS,
    PLAN,
    SAMPLE,
    SAMPLE_HELDOUT,
    CENTROIDS,
    BUCKET_CUTOFFS,
    BUCKET_WEIGHTS,
    AVG_RESIDUAL,
    CODES,
    RESIDUALS,
    VALUES,
    IVF,
    IVF_LENGTHS,
];

/// Where `name` stands in [`ORDER`]; unknown names come after all known ones.
pub fn position(name: &str) -> usize {
    ORDER
        .iter()
        .position(|known| *known == name)
        .unwrap_or(ORDER.len())
}
