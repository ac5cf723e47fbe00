//! The names of the files of an index.

/// The name of a chunk's codes.
pub(crate) fn codes_file(chunk: usize) -> String {
    format!("{chunk}.codes.pt")
}

/// The name of a chunk's residuals.
pub(crate) fn residuals_file(chunk: usize) -> String {
    format!("{chunk}.residuals.pt")
}

/// The name of a chunk's passage lengths.
pub(crate) fn doclens_file(chunk: usize) -> String {
    format!("doclens.{chunk}.json")
}

/// The name of what is said of a chunk.
pub(crate) fn chunk_metadata_file(chunk: usize) -> String {
    format!("{chunk}.metadata.json")
}

pub(crate) const CENTROIDS_FILE: &str = "centroids.pt";
pub(crate) const BUCKETS_FILE: &str = "buckets.pt";
pub(crate) const AVG_RESIDUAL_FILE: &str = "avg_residual.pt";
pub(crate) const IVF_FILE: &str = "ivf.pid.pt";
/// What an index is compressed with. Two indexes have the same codec if these files have the same bytes.
pub const CODEC_FILES: [&str; 3] = [CENTROIDS_FILE, BUCKETS_FILE, AVG_RESIDUAL_FILE];
pub(crate) const PLAN_FILE: &str = "plan.json";
/// The table of passages, an SQLite database.
pub const PASSAGES_FILE: &str = "passages.db";
pub(crate) const METADATA_FILE: &str = "metadata.json";

/// Whether a file of that name may belong to an index.
pub fn belongs_to_an_index(name: &str) -> bool {
    let whole = [
        CENTROIDS_FILE,
        BUCKETS_FILE,
        AVG_RESIDUAL_FILE,
        IVF_FILE,
        PLAN_FILE,
        METADATA_FILE,
        PASSAGES_FILE,
    ];
    let in_chunk = || {
        let number: String = name.chars().filter(char::is_ascii_digit).collect();
        let number = number.parse::<usize>();
        number.is_ok_and(|chunk| {
            [
                codes_file,
                residuals_file,
                doclens_file,
                chunk_metadata_file,
            ]
            .iter()
            .any(|file| file(chunk) == name)
        })
    };
    whole.contains(&name) || in_chunk()
}
