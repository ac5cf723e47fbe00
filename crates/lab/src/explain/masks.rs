//! The attention masks that two runs had, which are inputs like what modules read.

use std::collections::{BTreeMap, BTreeSet};

use concord_pipeline::{OtherMask, RecordedRun};
use serde::{Deserialize, Serialize};

use super::batches::few;

/// Attention that the two sides gave other masks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskDifference {
    /// The modules, in the order of computation.
    pub modules: Vec<String>,
    /// The passages whose masks are not the same.
    pub passages: usize,
    /// Those, where they are few.
    pub few: Vec<usize>,
    /// Of how many passages both masks are known.
    pub of: usize,
    /// The first of the passages.
    pub first: MaskPair,
}

/// The masks of one passage on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskPair {
    pub pid: usize,
    /// The tokens of the passage.
    pub tokens: usize,
    pub a: Attended,
    pub b: Attended,
}

/// What the tokens of a passage attend to. Tokens are numbered from 0, the special ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attended {
    /// The tokens of the passage that not all of its tokens attend to.
    pub hidden: Vec<usize>,
    /// Those to whose scores something is added that does not hide them.
    pub weighted: Vec<usize>,
    /// Whether this is so for some tokens or heads alone.
    pub varying: bool,
    /// Whether padding is attended to.
    pub padding: bool,
}

impl Attended {
    fn by(mask: Option<&OtherMask>) -> Attended {
        mask.map_or_else(Attended::default, |mask| Attended {
            hidden: mask.hidden.clone(),
            weighted: mask.weighted.clone(),
            varying: mask.varying,
            padding: mask.padding,
        })
    }
}

/// The tokens of a passage and its mask, `None` where that is the ordinary one.
type Known<'a> = (usize, Option<&'a OtherMask>);

/// The masks that a run knows of, by module and passage.
pub(super) struct Masks<'a> {
    of: BTreeMap<&'a str, BTreeMap<usize, Known<'a>>>,
    /// The modules in the order of computation.
    order: Vec<&'a str>,
}

impl<'a> Masks<'a> {
    pub(super) fn of(run: &'a RecordedRun) -> Masks<'a> {
        let (mut of, mut order) = (BTreeMap::<&str, BTreeMap<_, _>>::new(), Vec::new());
        for tap in run.taps() {
            let Some(masks) = &tap.masks else {
                continue;
            };
            let module = of.entry(tap.tap.as_str()).or_insert_with(|| {
                order.push(tap.tap.as_str());
                BTreeMap::new()
            });
            let mut masks = masks.iter().peekable();
            module.extend(tap.passages.iter().map(|rows| {
                let other = masks.next_if(|mask| mask.pid == rows.pid);
                (rows.pid, (rows.tokens, other))
            }));
        }
        Masks { of, order }
    }

    pub(super) fn knows(&self, path: &str) -> bool {
        self.of.contains_key(path)
    }

    /// Whether a passage has the same mask in both at a module; `None` where one of them does not know.
    pub(super) fn same(&self, other: &Masks<'_>, path: &str, pid: usize) -> Option<bool> {
        let (_, own) = self.of.get(path)?.get(&pid)?;
        let (_, theirs) = other.of.get(path)?.get(&pid)?;
        Some(match (own, theirs) {
            (None, None) => true,
            (Some(own), Some(theirs)) => own.is_like(theirs),
            _ => false,
        })
    }

    /// The passages of `among` whose masks differ at a module.
    pub(super) fn differing(
        &self,
        other: &Masks<'_>,
        path: &str,
        among: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let differs = |pid: &&usize| self.same(other, path, **pid) == Some(false);
        among.iter().filter(differs).copied().collect()
    }

    /// The masks of a passage on both sides.
    pub(super) fn pair(&self, other: &Masks<'_>, path: &str, pid: usize) -> Option<MaskPair> {
        let (tokens, own) = self.of.get(path)?.get(&pid)?;
        let (_, theirs) = other.of.get(path)?.get(&pid)?;
        Some(MaskPair {
            pid,
            tokens: *tokens,
            a: Attended::by(*own),
            b: Attended::by(*theirs),
        })
    }
}

/// Where two runs had other masks; modules at which they did for the same passages in the same way are told of
/// together.
pub(super) fn differences(runs: [&RecordedRun; 2]) -> Vec<MaskDifference> {
    let [a, b] = runs.map(Masks::of);
    let mut found: Vec<(MaskDifference, BTreeSet<usize>)> = Vec::new();
    for path in &a.order {
        let own = a.of.get(path).into_iter().flat_map(BTreeMap::keys);
        let known: BTreeSet<usize> = own
            .filter(|pid| a.same(&b, path, **pid).is_some())
            .copied()
            .collect();
        let differing = a.differing(&b, path, &known);
        let first = differing.first().and_then(|pid| a.pair(&b, path, *pid));
        let Some(first) = first else {
            continue;
        };
        let alike =
            |(other, pids): &&mut (MaskDifference, _)| other.first == first && *pids == differing;
        match found.iter_mut().find(alike) {
            Some((other, _)) => other.modules.push((*path).to_owned()),
            None => found.push((
                MaskDifference {
                    modules: vec![(*path).to_owned()],
                    passages: differing.len(),
                    few: few(differing.iter().copied().collect()),
                    of: known.len(),
                    first,
                },
                differing,
            )),
        }
    }
    found
        .into_iter()
        .map(|(difference, _)| difference)
        .collect()
}

/// Which of two runs do not keep the masks of attention that departs from the other's on what else it reads.
pub(super) fn unknown(runs: [&RecordedRun; 2], module: &str) -> [bool; 2] {
    runs.map(|run| !Masks::of(run).knows(module))
}
