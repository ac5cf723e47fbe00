//! Modules that depart on equal inputs, told from hashes alone.

use std::collections::{BTreeMap, HashMap};

use concord_model::architecture::{Module, Operation, of_paths};
use concord_pipeline::RecordedRun;
use concord_tensor::RowsHash;
use serde::{Deserialize, Serialize};

/// A module that computed something else though all that it read was the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    pub module: String,
    pub operation: Operation,
    /// Passages for which its output differs though its inputs agree.
    pub passages: usize,
    /// Passages for which its inputs agree.
    pub of: usize,
}

/// The hashes of what was tapped, by module and passage.
type Hashes<'a> = HashMap<&'a str, BTreeMap<usize, RowsHash>>;

fn hashes(run: &RecordedRun) -> Hashes<'_> {
    let mut hashes = Hashes::new();
    for tap in run.taps() {
        let module = hashes.entry(tap.tap.as_str()).or_default();
        module.extend(tap.passages.iter().map(|rows| (rows.pid, rows.hash)));
    }
    hashes
}

/// The modules of the first departures: those with equal inputs for at least one passage. What follows a
/// departure has other inputs, so later ones may be hidden; they show when each module is run on the
/// other side's inputs.
///
/// Tokens are taken to be the same. `None` where the runs have no taps in common, or their hashes are by two rules.
pub fn departures(a: &RecordedRun, b: &RecordedRun) -> Option<Vec<Departure>> {
    if !a.hashes_taps_like(b) {
        return None;
    }
    let (a, b) = (hashes(a), hashes(b));
    let paths = a.keys().filter(|path| b.contains_key(*path));
    let architecture = of_paths(paths.clone().copied());
    paths.clone().next()?;
    let modules = architecture.computing();
    let found = modules.filter_map(|module| departure(module, &a, &b));
    Some(found.collect())
}

fn departure(module: &Module, a: &Hashes<'_>, b: &Hashes<'_>) -> Option<Departure> {
    let operation = module.operation?;
    let (own_a, own_b) = (a.get(module.path.as_str())?, b.get(module.path.as_str())?);
    let reads: Vec<_> = module
        .reads
        .iter()
        .map(|read| Some((a.get(read.as_str())?, b.get(read.as_str())?)))
        .collect::<Option<_>>()?;
    let (mut of, mut passages) = (0, 0);
    for (pid, hash_a) in own_a {
        let Some(hash_b) = own_b.get(pid) else {
            continue;
        };
        let equal_inputs = reads
            .iter()
            .all(|(a, b)| a.contains_key(pid) && a.get(pid) == b.get(pid));
        if equal_inputs {
            of += 1;
            passages += usize::from(hash_a != hash_b);
        }
    }
    (passages > 0).then(|| Departure {
        module: module.path.clone(),
        operation,
        passages,
        of,
    })
}
