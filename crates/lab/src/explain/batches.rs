//! The batches of a run: their shapes, and for which of them the embeddings differ.

use std::collections::{BTreeMap, BTreeSet};

use concord_model::architecture::head::NORMALIZE;
use concord_pipeline::grid::GROUP;
use concord_pipeline::{RecordedRun, TapRecord};
use concord_subject::specification::{Pad, SubjectSpec};
use serde::{Deserialize, Serialize};

/// The module whose output is the encoder's.
const LAST: &str = NORMALIZE;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub number: usize,
    /// Its passages, in the order of their rows.
    pub pids: Vec<usize>,
    /// The tokens of its longest passage.
    pub longest: usize,
    /// The tokens that each of its passages is padded to; of a subject that does not pad, those of the longest.
    pub padded: usize,
    /// The tokens of all.
    pub tokens: usize,
    /// The rows that its linear layers multiply: its tokens, and the padding where its subject pads.
    pub rows: usize,
    /// Of its passages, those whose embeddings differ.
    pub differing: Vec<usize>,
}

/// How many rows a batch becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// As many as it has tokens: the native engine's.
    Tokens,
    /// Its passages, padded.
    Padded(Pad),
}

impl Rows {
    /// Those of the subject that was recorded. One whose name says nothing is taken for a plain PyTorch.
    fn of(run: &RecordedRun) -> Rows {
        match run.manifest().subject.parse() {
            Ok(SubjectSpec::Native(_)) => Rows::Tokens,
            Ok(SubjectSpec::Torch(options)) => Rows::Padded(options.pad),
            Ok(SubjectSpec::Recorded(_)) | Err(_) => Rows::Padded(Pad::Batch),
        }
    }
}

/// How the batches came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// How many there are.
    pub count: usize,
    /// How many have a passage that differs.
    pub differing: usize,
    /// The passages in all.
    pub passages: usize,
    pub passages_differing: usize,
    /// Those that differ, where they are few.
    pub few_differing: Vec<usize>,
    /// Whether the first side had the same passages in the same batches, padded as far: only then does the size of a
    /// batch say anything of a difference.
    pub same_shapes: bool,
    /// Rows of the smallest and the largest batch that differs.
    pub rows_differing: Option<(usize, usize)>,
    /// The same of those that agree.
    pub rows_same: Option<(usize, usize)>,
}

/// The batches of `run` with the passages that differ from `other`'s, as far as both tapped the last
/// module and their hashes of it are by one rule; `None` where they did not.
pub(super) fn batches(run: &RecordedRun, other: &RecordedRun) -> Option<Vec<Batch>> {
    let last = |run: &'_ RecordedRun| -> Vec<TapRecord> {
        let taps = run.taps().iter();
        taps.filter(|tap| tap.tap == LAST).cloned().collect()
    };
    let theirs: BTreeMap<usize, _> = last(other)
        .iter()
        .flat_map(|tap| tap.passages.clone())
        .map(|rows| (rows.pid, rows.hash))
        .collect();
    let own = last(run);
    if own.is_empty() || theirs.is_empty() || !run.hashes_taps_like(other) {
        return None;
    }
    let mut batches: Vec<Batch> = own
        .iter()
        .map(|tap| Batch {
            number: tap.batch,
            pids: tap.passages.iter().map(|rows| rows.pid).collect(),
            longest: tap
                .passages
                .iter()
                .map(|rows| rows.tokens)
                .max()
                .unwrap_or(0),
            tokens: tap.passages.iter().map(|rows| rows.tokens).sum(),
            padded: 0,
            rows: 0,
            differing: tap
                .passages
                .iter()
                .filter(|rows| theirs.get(&rows.pid).is_some_and(|hash| *hash != rows.hash))
                .map(|rows| rows.pid)
                .collect(),
        })
        .collect();
    let kind = Rows::of(run);
    let mut longest = BTreeMap::<usize, usize>::new();
    for batch in &batches {
        let list = longest.entry(list_of(batch)).or_default();
        *list = (*list).max(batch.longest);
    }
    for batch in &mut batches {
        batch.padded = match kind {
            Rows::Tokens | Rows::Padded(Pad::Batch) => batch.longest,
            Rows::Padded(Pad::List) => longest.get(&list_of(batch)).copied().unwrap_or(0),
        };
        batch.rows = match kind {
            Rows::Tokens => batch.tokens,
            Rows::Padded(_) => batch.pids.len().saturating_mul(batch.padded),
        };
    }
    Some(batches)
}

/// The tokens of each passage of a run, as far as it tapped the last module.
pub(super) fn tokens(run: &RecordedRun) -> BTreeMap<usize, usize> {
    let last = run.taps().iter().filter(|tap| tap.tap == LAST);
    let passages = last.flat_map(|tap| &tap.passages);
    passages.map(|rows| (rows.pid, rows.tokens)).collect()
}

/// As many passages as are named one by one.
const FEW: usize = 5;

/// How the batches of the second side came out, in numbers; `of_a` are those of the first.
pub(super) fn summary(batches: &[Batch], of_a: &[Batch]) -> Batches {
    let rows = |differing: bool| {
        let rows = batches
            .iter()
            .filter(|batch| batch.differing.is_empty() != differing)
            .map(|batch| batch.rows);
        Some((rows.clone().min()?, rows.max()?))
    };
    let differing = batches.iter().flat_map(|batch| &batch.differing);
    let mut differing: Vec<usize> = differing.copied().collect();
    differing.sort_unstable();
    Batches {
        count: batches.len(),
        differing: batches
            .iter()
            .filter(|batch| !batch.differing.is_empty())
            .count(),
        passages: batches.iter().map(|batch| batch.pids.len()).sum(),
        passages_differing: batches.iter().map(|batch| batch.differing.len()).sum(),
        few_differing: few(differing),
        same_shapes: same_shapes(batches, of_a),
        rows_differing: rows(true),
        rows_same: rows(false),
    }
}

/// These passages, if they are few enough to be named one by one.
pub(super) fn few(pids: Vec<usize>) -> Vec<usize> {
    match pids.len() <= FEW {
        true => pids,
        false => Vec::new(),
    }
}

/// Whether two sides put the same passages into the same batches and padded them as far.
pub(super) fn same_shapes(a: &[Batch], b: &[Batch]) -> bool {
    let shape = |batch: &Batch| (batch.pids.clone(), batch.padded, batch.rows);
    a.iter().map(shape).eq(b.iter().map(shape))
}

/// A few batches to look at closely: of those that differ the one with the most rows, the one with the
/// fewest and one between, as far as their tokens stay below `tokens` together.
pub(super) fn chosen(batches: &[Batch], tokens: usize) -> Vec<&Batch> {
    let mut differing: Vec<&Batch> = batches.iter().filter(|b| !b.differing.is_empty()).collect();
    differing.sort_by_key(|batch| (batch.rows, batch.number));
    let count = differing.len();
    let mut chosen: Vec<&Batch> = Vec::new();
    for place in [count.wrapping_sub(1), 0, count / 2] {
        let Some(batch) = differing.get(place) else {
            continue;
        };
        let taken: usize = chosen.iter().map(|batch| batch.tokens).sum();
        let known = chosen.iter().any(|other| other.number == batch.number);
        if !known && (chosen.is_empty() || taken + batch.tokens <= tokens) {
            chosen.push(batch);
        }
    }
    chosen.sort_by_key(|batch| batch.number);
    chosen
}

/// Passages of these batches whose modules are kept: of each batch in turn its last one, its first and
/// then others that differ, as far as their tokens stay below `tokens` together. The last rows of a batch
/// are those that kernels compute in other ways.
pub(super) fn watched(batches: &[&Batch], tokens: usize) -> BTreeSet<usize> {
    let queues: Vec<Vec<usize>> = batches
        .iter()
        .map(|batch| {
            let ends = batch
                .differing
                .last()
                .into_iter()
                .chain(batch.differing.first());
            ends.chain(&batch.differing).copied().collect()
        })
        .collect();
    let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
    let (mut watched, mut taken) = (BTreeSet::new(), 0);
    for place in 0..longest {
        for (batch, queue) in batches.iter().zip(&queues) {
            let Some(pid) = queue.get(place).filter(|pid| !watched.contains(*pid)) else {
                continue;
            };
            // A passage has at most as many tokens as the longest of its batch.
            if !watched.is_empty() && taken + batch.longest > tokens {
                return watched;
            }
            taken += batch.longest;
            watched.insert(*pid);
        }
    }
    watched
}

/// Those of `batches` that hold any of these passages.
pub(super) fn holding<'a>(batches: &'a [Batch], pids: &BTreeSet<usize>) -> Vec<&'a Batch> {
    let holds = |batch: &&Batch| batch.pids.iter().any(|pid| pids.contains(pid));
    batches.iter().filter(holds).collect()
}

/// The list that the passages of a batch are tokenised with.
fn list_of(batch: &Batch) -> usize {
    batch.pids.first().map_or(0, |pid| pid / GROUP)
}

/// The tokens of the longest passage of those that are tokenised together with the batch's.
pub(super) fn longest_of_list(batches: &[Batch], batch: &Batch) -> usize {
    let together = batches
        .iter()
        .filter(|other| list_of(other) == list_of(batch));
    together.map(|batch| batch.longest).max().unwrap_or(0)
}
