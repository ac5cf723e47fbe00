//! Modules that depart on equal inputs, told from hashes alone.

use std::collections::{BTreeMap, BTreeSet};

use concord_model::architecture::{Architecture, Module, Operation, of_paths};
use concord_pipeline::RecordedRun;
use serde::{Deserialize, Serialize};

use super::batches::few;
use super::masks::Masks;
use super::outputs::Outputs;

/// A module that computed something else though all that it read was the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    pub module: String,
    pub operation: Operation,
    /// Passages for which its output differs though its inputs agree.
    pub passages: usize,
    /// Those, where they are few.
    pub few: Vec<usize>,
    /// Passages for which its inputs agree.
    pub of: usize,
}

/// A module that should hand on what another inside it computed, and gave something else: dropout that was left on,
/// for example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InBetween {
    /// The module that hands on.
    pub module: String,
    /// The one whose output it should hand on.
    pub of: String,
    /// Whether that is so on the first side, and on the second.
    pub sides: [bool; 2],
    /// The passages for which it is so on either side.
    pub passages: usize,
}

/// Where each of the two runs altered an output before it was handed on.
pub(super) fn in_between(runs: [&RecordedRun; 2]) -> Vec<InBetween> {
    let sides = runs.map(Outputs::of);
    let paths: Vec<&str> = sides.iter().flat_map(Outputs::paths).collect();
    let architecture = of_paths(paths.iter().copied());
    let found = architecture.modules().iter().filter_map(|module| {
        let altered = [
            sides[0].altered_between(module),
            sides[1].altered_between(module),
        ];
        let passages: BTreeSet<usize> = altered.iter().flatten().copied().collect();
        (!passages.is_empty()).then(|| InBetween {
            module: module.path.clone(),
            of: module.reads.first().cloned().unwrap_or_default(),
            sides: [!altered[0].is_empty(), !altered[1].is_empty()],
            passages: passages.len(),
        })
    });
    found.collect()
}

/// The modules of the first departures: those with equal inputs for at least one passage. What follows a
/// departure has other inputs, so later ones may be hidden; they show when each module is run on the
/// other side's inputs.
///
/// Tokens are taken to be the same. Inputs are those of the runs: where a run altered what a module computed before
/// it handed it on, what came of it is not known to be equal. An attention mask is an input too, as far as both runs
/// keep it. `None` where the runs have no taps in common, or their hashes are by two rules.
pub(super) fn departures(a: &RecordedRun, b: &RecordedRun) -> Option<Vec<Departure>> {
    if !a.hashes_taps_like(b) {
        return None;
    }
    let sides = [Outputs::of(a), Outputs::of(b)];
    let masks = [a, b].map(Masks::of);
    let common: Vec<&str> = sides[0].paths().filter(|path| sides[1].has(path)).collect();
    common.first()?;
    let architecture = of_paths(common.iter().copied());
    let altered = altered(&architecture, &sides);
    let modules = architecture.computing();
    let found = modules.filter_map(|module| departure(module, &sides, &altered, &masks));
    Some(found.collect())
}

/// For each module whose output was altered before it was handed on: for which passages, on either side.
fn altered(
    architecture: &Architecture,
    sides: &[Outputs<'_>; 2],
) -> BTreeMap<String, BTreeSet<usize>> {
    let mut altered = BTreeMap::<String, BTreeSet<usize>>::new();
    for module in architecture.modules() {
        for pids in sides.iter().map(|side| side.altered_between(module)) {
            if let Some(read) = module.reads.first().filter(|_| !pids.is_empty()) {
                altered.entry(read.clone()).or_default().extend(pids);
            }
        }
    }
    altered
}

fn departure(
    module: &Module,
    [a, b]: &[Outputs<'_>; 2],
    altered: &BTreeMap<String, BTreeSet<usize>>,
    masks: &[Masks<'_>; 2],
) -> Option<Departure> {
    let operation = module.operation?;
    if !module.reads.iter().all(|read| a.has(read) && b.has(read)) {
        return None;
    }
    let equal = |read: &String, pid: usize| {
        let hash = a.at(read).and_then(|rows| rows.get(&pid));
        let is_altered = altered.get(read).is_some_and(|pids| pids.contains(&pid));
        hash.is_some() && hash == b.at(read).and_then(|rows| rows.get(&pid)) && !is_altered
    };
    let (mut of, mut departing) = (0, Vec::new());
    for (pid, same) in a.compared(&module.path, b, &module.path) {
        let is_masked_alike = masks[0].same(&masks[1], &module.path, pid) != Some(false);
        if is_masked_alike && module.reads.iter().all(|read| equal(read, pid)) {
            of += 1;
            departing.extend((!same).then_some(pid));
        }
    }
    (!departing.is_empty()).then(|| Departure {
        module: module.path.clone(),
        operation,
        passages: departing.len(),
        few: few(departing),
        of,
    })
}
