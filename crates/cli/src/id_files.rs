//! Files with the ids of passages, one a line.

use std::path::Path;

use concord_corpus::DocumentIds;
use concord_index::search::PassageSet;
use concord_report::printable;

use crate::output::Failure;

/// The lines of a file.
fn text_of(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    Ok(String::from_utf8(text).map_err(|_| format!("{shown} is no UTF-8 text"))?)
}

/// The ids in a file; empty lines are none.
pub fn ids_in(path: &Path) -> Result<Vec<String>, Failure> {
    let text = text_of(path)?;
    let ids = text.lines().filter(|id| !id.is_empty());
    Ok(ids.map(str::to_owned).collect())
}

/// The passages whose ids stand in a file, white space around them left out.
pub fn passages_in(
    path: &Path,
    documents: &dyn DocumentIds,
    passages: usize,
) -> Result<PassageSet, Failure> {
    let shown = path.display();
    let mut pids = Vec::new();
    for (line, id) in text_of(path)?.lines().enumerate() {
        let id = id.trim();
        if id.is_empty() {
            continue;
        }
        let pid = documents.pid_of(id);
        let pid = pid.filter(|pid| (*pid as usize) < passages);
        pids.push(pid.ok_or_else(|| {
            let (line, id) = (line + 1, printable(id));
            format!("{shown}, line {line}: the index has no passage of the id {id}")
        })?);
    }
    if pids.is_empty() {
        return Err(format!("{shown} holds no ids, so there is nothing to search among").into());
    }
    Ok(PassageSet::of(pids, passages)?)
}
