//! Checkpoints in several files, as the `transformers` library writes them: `model.safetensors.index.json` says
//! which tensor is in which of the files beside it.

pub(crate) mod problem;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

pub use problem::ShardsProblem;

use crate::container::Container;
use crate::file_error::FileError;
use crate::sniff::something_else;

/// The largest index read; one of a thousand tensors has some 100 kB.
const MAX_INDEX: u64 = 64 << 20;

/// What the names of such indexes end in.
pub(crate) const ENDING: &str = ".index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The names of the tensors of each file, by the file's name.
///
/// # Errors
/// [`ShardsProblem`] when it is no index, or names files that are not beside it.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, BTreeSet<String>>, FileError> {
    let container = Container::open(path)?;
    let fail = |problem: ShardsProblem| container.error(problem);
    let size = container.len();
    if size > MAX_INDEX {
        let limit = MAX_INDEX;
        return Err(fail(ShardsProblem::TooLarge { size, limit }));
    }
    let text = container.bytes_at(0, size, "the index")?;
    let index: Index = match serde_json::from_slice(&text) {
        Ok(index) => index,
        Err(error) => {
            let reason = error.to_string();
            return Err(match something_else(&container)? {
                Some(found) => container.error(found),
                None => fail(ShardsProblem::NotAnIndex { reason }),
            });
        }
    };
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        let is_name = Path::new(&file)
            .file_name()
            .is_some_and(|name| name == file.as_str());
        if !is_name || file.ends_with(ENDING) {
            return Err(fail(ShardsProblem::NotBeside { tensor, file }));
        }
        files.entry(file).or_default().insert(tensor);
    }
    Ok(files)
}
