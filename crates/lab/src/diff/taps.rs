//! What the modules inside the encoder computed, joined by module and passage.
//!
//! Batches play no part: two runs that put a passage into different batches still have one tap of it at
//! each module.

use std::collections::{BTreeMap, HashMap};

use concord_pipeline::{RecordedRun, StoredTensor, TapRecord, TapRows};
use concord_tensor::closeness::{Closeness, Tolerance};
use concord_tensor::{BitHash, HashRule, RowsHash, Tensor};

use super::error::DiffError;
use super::names::merged;
use super::progress::DiffProgress;
use super::report::{
    Bits, DiffRow, Evidence, FieldDiff, Numbers, Outcome, Presence, RowKind, Spot, Spots,
    TappedPassages, TensorForm, Unknown,
};
use crate::elements::{ElementsError, open_blob};
use crate::side::Form;

/// A passage at a module. A module that is called several times has the passage several times; the
/// second number says which time it is.
type Key = (usize, usize);

/// One passage at one module.
#[derive(Clone, Copy)]
struct Tapped<'a> {
    record: &'a TapRecord,
    rows: &'a TapRows,
    /// The first of its rows in the blob of its record.
    first: usize,
}

/// The passages at one module, by pid.
type Module<'a> = BTreeMap<Key, Tapped<'a>>;

/// The taps of a run: paths in the order of computation, and what was tapped at each.
pub(super) struct Taps<'a> {
    run: &'a RecordedRun,
    paths: Vec<&'a str>,
    modules: HashMap<&'a str, Module<'a>>,
}

impl<'a> Taps<'a> {
    pub(super) fn of(run: &'a RecordedRun) -> Taps<'a> {
        let (mut paths, mut modules) = (Vec::new(), HashMap::<&str, Module<'a>>::new());
        for record in run.taps() {
            let module = modules.entry(&record.tap).or_insert_with(|| {
                paths.push(record.tap.as_str());
                Module::new()
            });
            let mut first = 0usize;
            for rows in &record.passages {
                let time = module
                    .range((rows.pid, 0)..=(rows.pid, usize::MAX))
                    .next_back()
                    .map_or(0, |((_, time), _)| time + 1);
                module.insert(
                    (rows.pid, time),
                    Tapped {
                        record,
                        rows,
                        first,
                    },
                );
                first = first.saturating_add(rows.tokens);
            }
        }
        Taps {
            run,
            paths,
            modules,
        }
    }
}

/// A row for each module that either run tapped, in the order of computation.
pub(super) fn rows(
    a: &RecordedRun,
    b: &RecordedRun,
    tolerance: Tolerance,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<Vec<DiffRow>, DiffError> {
    let (a, b) = (Taps::of(a), Taps::of(b));
    merged(a.paths.clone(), b.paths.clone())
        .into_iter()
        .map(|path| row(path, &a, &b, tolerance, progress))
        .collect()
}

/// The row of the module at `path`.
pub(super) fn row(
    path: &str,
    a: &Taps<'_>,
    b: &Taps<'_>,
    tolerance: Tolerance,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<DiffRow, DiffError> {
    match (a.modules.get(path), b.modules.get(path)) {
        (Some(of_a), Some(of_b)) => {
            let compared = both(path, [a.run, b.run], [of_a, of_b], tolerance, progress);
            compared.map_err(|source| DiffError::Elements {
                name: path.to_owned(),
                source,
            })
        }
        (of_a, of_b) => Ok(one_sided(path, of_a, of_b)),
    }
}

/// A module that one run did not tap, which is no difference: taps are taken as asked.
fn one_sided(path: &str, a: Option<&Module<'_>>, b: Option<&Module<'_>>) -> DiffRow {
    let field = FieldDiff {
        name: String::new(),
        a: a.and_then(form),
        b: b.and_then(form),
        shape_same: None,
        dtype_same: None,
        bits: Bits::Unknown(Unknown::OneSided),
        values: None,
        numbers: None,
        referee: None,
    };
    let count = |module: Option<&Module<'_>>| module.map_or(0, BTreeMap::len);
    DiffRow {
        name: path.to_owned(),
        kind: RowKind::Tap,
        presence: Presence::of(a.is_some(), b.is_some()),
        outcome: Outcome::OneSided,
        fields: vec![field],
        passages: Some(TappedPassages {
            only_a: count(a),
            only_b: count(b),
            ..TappedPassages::default()
        }),
    }
}

/// The rows of all passages together.
fn form(module: &Module<'_>) -> Option<TensorForm> {
    let (_, first) = module.first_key_value()?;
    let rows = module.values().map(|tapped| tapped.rows.tokens);
    let rows = rows.fold(0usize, usize::saturating_add);
    Some(TensorForm {
        dtype: first.record.dtype.into(),
        shape: vec![rows, first.record.width],
    })
}

/// A passage that both runs have at a module.
struct Common<'a> {
    pid: usize,
    a: Tapped<'a>,
    b: Tapped<'a>,
}

impl Common<'_> {
    fn same_shape(&self) -> bool {
        (self.a.rows.tokens, self.a.record.width) == (self.b.rows.tokens, self.b.record.width)
    }

    fn same_dtype(&self) -> bool {
        self.a.record.dtype == self.b.record.dtype
    }

    /// Whether the bits are the same; `None` where the hashes are by two rules and neither run keeps the rows.
    fn same_bits(&self, blobs: &mut [Blobs<'_>; 2]) -> Result<Option<bool>, ElementsError> {
        if !self.same_shape() || !self.same_dtype() {
            return Ok(Some(false));
        }
        let (a, b) = (self.a.rows.hash, self.b.rows.hash);
        if let Some(same) = a.same_as(&b) {
            return Ok(Some(same));
        }
        let [blobs_a, blobs_b] = blobs;
        if let Some(rehashed) = blobs_a.hash_by(b.rule(), self.a)? {
            return Ok(Some(rehashed == b));
        }
        let rehashed = blobs_b.hash_by(a.rule(), self.b)?;
        Ok(rehashed.map(|rehashed| rehashed == a))
    }
}

/// One module, tapped by both runs.
fn both(
    path: &str,
    [run_a, run_b]: [&RecordedRun; 2],
    [a, b]: [&Module<'_>; 2],
    tolerance: Tolerance,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<DiffRow, ElementsError> {
    let common: Vec<Common<'_>> = a
        .iter()
        .filter_map(|(key, a)| {
            let (pid, a, b) = (key.0, *a, *b.get(key)?);
            Some(Common { pid, a, b })
        })
        .collect();
    let mut blobs = [Blobs::of(run_a), Blobs::of(run_b)];
    let (mut differing, mut unknown, mut first_differing_pid) = (0, 0, None);
    for passage in &common {
        match passage.same_bits(&mut blobs)? {
            Some(true) => {}
            Some(false) => {
                differing += 1;
                first_differing_pid = first_differing_pid.or(Some(passage.pid));
            }
            None => unknown += 1,
        }
    }
    let passages = TappedPassages {
        common: common.len(),
        differing,
        first_differing_pid,
        unknown,
        only_a: a.len() - common.len(),
        only_b: b.len() - common.len(),
    };
    let same_passages = a.len() == common.len() && b.len() == common.len();
    let bits = match passages.differing {
        0 if unknown > 0 => Bits::Unknown(Unknown::HashRules),
        0 if same_passages => Bits::Same(Evidence::Hashes),
        0 => Bits::Unknown(Unknown::Passages),
        _ => Bits::Different(Evidence::Hashes),
    };
    let mut field = FieldDiff {
        name: String::new(),
        a: form(a),
        b: form(b),
        shape_same: Some(same_passages && common.iter().all(Common::same_shape)),
        dtype_same: Some(common.iter().all(Common::same_dtype)),
        bits,
        values: None,
        numbers: None,
        referee: None,
    };
    if passages.differing > 0 {
        let (values, numbers) = numbers(&common, blobs, tolerance, &mut |done, total| {
            progress(DiffProgress {
                name: path,
                done,
                total,
            });
        })?;
        field.values = values;
        field.numbers = numbers;
    }
    let fields = vec![field];
    Ok(DiffRow {
        name: path.to_owned(),
        kind: RowKind::Tap,
        presence: Presence::Both,
        outcome: Outcome::of(&fields),
        fields,
        passages: Some(passages),
    })
}

/// How far apart the passages are that have the same shape on both sides, and who keeps their values.
///
/// A passage is in memory at a time.
fn numbers(
    common: &[Common<'_>],
    [mut blobs_a, mut blobs_b]: [Blobs<'_>; 2],
    tolerance: Tolerance,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Option<Presence>, Option<Numbers>), ElementsError> {
    let alike = |passage: &&Common<'_>| {
        let first = &common[0];
        passage.same_shape()
            && passage.a.record.width == first.a.record.width
            && passage.a.record.dtype == first.a.record.dtype
            && passage.b.record.dtype == first.b.record.dtype
    };
    let comparable: Vec<&Common<'_>> = common.iter().filter(alike).collect();
    let Some(first) = comparable.first() else {
        return Ok((None, None));
    };
    let mut presence = [true, true];
    for passage in &comparable {
        presence[0] = presence[0] && blobs_a.source(passage.a)?.is_some();
        presence[1] = presence[1] && blobs_b.source(passage.b)?.is_some();
    }
    let presence = Some(Presence::of(presence[0], presence[1]));
    if presence != Some(Presence::Both) {
        return Ok((presence, None));
    }
    // The first row of each passage, and behind them the number of rows.
    let mut starts = vec![0usize];
    for passage in &comparable {
        let rows = starts[starts.len() - 1].saturating_add(passage.a.rows.tokens);
        starts.push(rows);
    }
    let shape = [starts[comparable.len()], first.a.record.width];
    let (dtype_a, dtype_b) = (first.a.record.dtype, first.b.record.dtype);
    let mut closeness = Closeness::between(tolerance, dtype_a, dtype_b, &shape);
    let size = dtype_a.size().max(dtype_b.size());
    let row = first.a.record.width.saturating_mul(size) as u64;
    for (passage, end) in comparable.iter().zip(&starts[1..]) {
        closeness.update(&blobs_a.rows(passage.a)?, &blobs_b.rows(passage.b)?)?;
        progress(
            (*end as u64).saturating_mul(row),
            (shape[0] as u64).saturating_mul(row),
        );
    }
    let report = closeness.finish()?;
    let spots = Spots::of(&report, |row| {
        let number = starts
            .partition_point(|&start| start <= row)
            .checked_sub(1)?;
        Some(Spot {
            pid: comparable.get(number)?.pid,
            token: row - starts[number],
        })
    });
    Ok((presence, Some(Numbers { report, spots })))
}

/// How many blobs are kept open: passages of a few batches take turns when batches are sorted by length.
const OPEN: usize = 64;

/// The blobs of a run that hold taps.
struct Blobs<'a> {
    run: &'a RecordedRun,
    open: HashMap<BitHash, StoredTensor>,
}

impl<'a> Blobs<'a> {
    fn of(run: &'a RecordedRun) -> Blobs<'a> {
        let open = HashMap::new();
        Blobs { run, open }
    }

    /// The blob that holds the rows of a passage; `None` if the run did not keep it.
    fn source(&mut self, tapped: Tapped<'_>) -> Result<Option<StoredTensor>, ElementsError> {
        let record = tapped.record;
        let Some(hash) = record.blob else {
            return Ok(None);
        };
        if let Some(source) = self.open.get(&hash) {
            return Ok(Some(source.clone()));
        }
        let rows = record.passages.iter().map(|passage| passage.tokens);
        let form = Form {
            dtype: record.dtype,
            shape: vec![rows.fold(0, usize::saturating_add), record.width],
        };
        let opened = open_blob(self.run, hash, &form)?;
        if let Some(source) = &opened {
            if self.open.len() == OPEN {
                self.open.clear();
            }
            self.open.insert(hash, source.clone());
        }
        Ok(opened)
    }

    /// The hash of a passage's rows by another rule than the run has; `None` if the run did not keep them.
    fn hash_by(
        &mut self,
        rule: HashRule,
        tapped: Tapped<'_>,
    ) -> Result<Option<RowsHash>, ElementsError> {
        if self.source(tapped)?.is_none() {
            return Ok(None);
        }
        let rows = self.rows(tapped)?;
        let shape = [tapped.rows.tokens, tapped.record.width];
        Ok(Some(RowsHash::by(rule, rows.dtype(), shape, rows.bytes())))
    }

    /// The rows of a passage whose blob is there.
    fn rows(&mut self, tapped: Tapped<'_>) -> Result<Tensor, ElementsError> {
        let source = self.source(tapped)?;
        let source = source.ok_or_else(|| ElementsError::Gone(tapped.rows.hash.to_string()))?;
        // The blob has as many rows as its record says, so the sum does not overflow.
        let range = tapped.first..tapped.first + tapped.rows.tokens;
        Ok(source.rows(range, tapped.record.width, tapped.rows.hash)?)
    }
}
