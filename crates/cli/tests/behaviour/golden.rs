//! Where the golden inputs and values lie. Their README says what they hold.

use std::path::{Path, PathBuf};

/// The two PyTorch versions that golden values were computed with.
pub const TORCH: [&str; 2] = ["torch-1.13.1", "torch-2.15.0"];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

pub fn checkpoint() -> PathBuf {
    folder().join("checkpoint")
}

/// 120 passages.
pub fn collection() -> PathBuf {
    folder().join("collection.tsv")
}

/// 12 queries, with the ids 0 to 11.
pub fn queries() -> PathBuf {
    folder().join("queries.tsv")
}

/// A collection of `passages` passages, none like another: the sentences of the golden one over and
/// over, with their number in front.
pub fn longer_collection(passages: usize) -> String {
    let text = std::fs::read_to_string(collection()).unwrap();
    let sentences: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .filter(|sentence| sentence.is_ascii() && sentence.len() > 20)
        .collect();
    (0..passages)
        .map(|pid| format!("{pid}\t{pid} {}\n", sentences[pid % sentences.len()]))
        .collect()
}
