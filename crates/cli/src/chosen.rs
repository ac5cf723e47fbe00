//! Passages that are chosen by their metadata, and shown with it.

use std::collections::{BTreeMap, BTreeSet};

use concord_corpus::Ranking;
use concord_engine::open::OpenIndex;
use concord_index::search::PassageSet;

use crate::output::{Failure, warn};

/// Of the passages to be searched, those that the conditions of `--where` choose.
pub fn chosen(
    index: &OpenIndex,
    conditions: &str,
    only: Option<&PassageSet>,
) -> Result<PassageSet, Failure> {
    let mut chosen = index.choose(conditions)?;
    if let Some(only) = only {
        chosen.keep(only);
    }
    if chosen.is_empty() {
        let of = only.map_or("", |_| " of those that --only names");
        warn(&[format!(
            "--where is true of no passage{of}, so nothing is found"
        )]);
    }
    Ok(chosen)
}

/// The metadata of the passages that were found, by pid; an empty object where a passage has none.
pub fn metadata_of(index: &OpenIndex, ranking: &Ranking) -> Result<BTreeMap<u32, String>, Failure> {
    let found = ranking.iter().flat_map(|(_, found)| found);
    let pids: BTreeSet<u32> = found.map(|ranked| ranked.pid).collect();
    let with = |pid: u32| {
        let object = index.metadata(pid)?;
        Ok((pid, object.unwrap_or_else(|| "{}".to_owned())))
    };
    pids.into_iter().map(with).collect()
}
