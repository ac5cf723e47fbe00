//! The golden checkpoint and collection.

use std::path::{Path, PathBuf};

use concord_corpus::Collection;
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;

pub fn golden(name: &str) -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("../../tests/golden").join(name)
}

pub fn golden_texts() -> Vec<String> {
    let collection = Collection::open(golden("collection.tsv")).unwrap();
    collection.iter().map(str::to_owned).collect()
}

/// The checkpoint in a folder, which is read without looking at the hub.
pub fn checkpoint(folder: &Path) -> Checkpoint {
    Checkpoint::load(folder.to_str().unwrap(), &HubOptions::new("")).unwrap()
}
