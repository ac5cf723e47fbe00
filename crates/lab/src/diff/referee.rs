//! Which of two sides is nearer the truth, where they differ: both against a third, the referee, that
//! computed in double precision.
//!
//! The referee is a run of `native,precision=f64` on what both sides were made from. It is in double
//! precision from the text on, so the error of an artifact is *accumulated*: the stage that made it may have
//! added nothing to what came before. (Which stage or module departs from the truth on equal inputs is what
//! [`explain`](crate::explain) asks.) Its embeddings are rounded once, to `f32` in `D` and `batches`
//! and to `f16` in `embs`, and its stages after the encoder are the native engine's; errors below that do
//! not show.
//!
//! Rows are judged where both sides have values of one shape and the three are about the same things. Rows
//! of `centroids`, and `codes` that name them, are about the same as long as the sample that k-means starts
//! from has the same rows. `residuals` count as agreeing by their bytes, whatever centroid they are the
//! residual of. `ivf` is one list after another, so that one entry more shifts all behind it: it is
//! judged only where all lists have the referee's lengths. `values`, which are the codes in ascending order,
//! shift likewise, so the share that agrees is smaller there than that of the codes.

use std::collections::{BTreeMap, BTreeSet};

use concord_pipeline::artifact::{
    BATCHES, CENTROIDS, CODES, D, DOCLENS, EMBS, IVF, IVF_LENGTHS, LOCAL_SAMPLE_EMBS, RESIDUALS,
    SAMPLE, SAMPLE_HELDOUT, SAMPLED_PIDS, TENSORIZE_OUTPUT, VALUES,
};
use concord_pipeline::{Capture, ModulePattern};
use concord_tensor::DType;
use concord_tensor::closeness::{Closeness, Tolerance};

use super::artifact::named;
use super::error::DiffError;
use super::field;
use super::judgement::{Distance, Judgement, NotComparable};
use super::progress::DiffProgress;
use super::report::{Bits, DiffReport, DiffRow, FieldDiff, Presence, RowKind};
use super::taps::{self, Taps};
use crate::elements::{Elements, ElementsError, PIECE};
use crate::side::{Form, Holding, Part, Side};

/// What a referee has to keep so that it can judge what `report` says of `a` and `b`; `None` where there is
/// nothing to judge: nothing differs of which both sides have values in one shape.
pub fn to_be_judged(report: &DiffReport, a: &Side, b: &Side) -> Option<Capture> {
    let rows = report.rows.iter();
    let disputed = rows.filter(|row| row.fields.iter().any(is_disputed));
    let disputed: Vec<&DiffRow> = disputed.collect();
    if disputed.is_empty() {
        return None;
    }
    let modules = disputed.iter().filter(|row| row.kind == RowKind::Tap);
    let taps: Vec<ModulePattern> = modules.map(|row| ModulePattern::new(&row.name)).collect();
    let passages = (!taps.is_empty()).then(|| &tapped(a) & &tapped(b));
    Some(Capture {
        artifact_values: true,
        tap_values: !taps.is_empty(),
        taps,
        passages,
        ..Capture::default()
    })
}

/// The passages that a run has taps of.
fn tapped(side: &Side) -> BTreeSet<usize> {
    let taps = side.run().into_iter().flat_map(|run| run.taps());
    taps.flat_map(|tap| tap.passages.iter().map(|rows| rows.pid))
        .collect()
}

/// Says of each tensor in `report`, the comparison of `a` with `b`, which side is nearer `truth`, where both
/// sides have it in one shape and it differs.
///
/// `truth` is a run of the referee with the values of its artifacts, on what both sides were made from.
/// `progress` is called after every piece.
///
/// # Errors
/// When one of the three cannot be read.
pub fn judge(
    report: &mut DiffReport,
    a: &Side,
    b: &Side,
    truth: &Side,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<(), DiffError> {
    let mut referee = Referee {
        sides: [a, b],
        truth,
        agreements: BTreeMap::new(),
    };
    let taps = match [a, b, truth].map(Side::run) {
        [Some(a), Some(b), Some(truth)] => Some([a, b, truth].map(Taps::of)),
        _ => None,
    };
    for row in &mut report.rows {
        let name = row.name.as_str();
        let passages = row.passages.map_or(0, |passages| passages.common);
        for field in row.fields.iter_mut().filter(|field| is_disputed(field)) {
            field.referee = match (row.kind, &taps) {
                (RowKind::Artifact, _) => Some(referee.artifact(name, &field.name, progress)?),
                (RowKind::Tap, Some(taps)) => Some(module(name, field, passages, taps, progress)?),
                (RowKind::Tap, None) | (RowKind::Tensor, _) => None,
            };
        }
    }
    report.referee = Some(
        truth
            .run()
            .map_or_else(|| truth.name(), |run| run.manifest().subject.clone()),
    );
    Ok(())
}

/// Whether two sides have values in one shape that differ.
fn is_disputed(field: &FieldDiff) -> bool {
    matches!(field.bits, Bits::Different(_)) && field.numbers.is_some()
}

/// Two sides and the run that they are judged by.
struct Referee<'a> {
    sides: [&'a Side; 2],
    truth: &'a Side,
    /// Whether both sides have the referee's values of a tensor, by artifact and field.
    agreements: BTreeMap<Key, bool>,
}

/// An artifact and one of its fields.
type Key = (&'static str, &'static str);

/// The tensors that decide what the rows of another one are about.
fn keys_of(artifact: &str) -> &'static [Key] {
    match artifact {
        TENSORIZE_OUTPUT | BATCHES => &[(TENSORIZE_OUTPUT, "lengths")],
        D | EMBS => &[(DOCLENS, "")],
        // Centroids begin as rows of the sample, and keep their places.
        LOCAL_SAMPLE_EMBS | SAMPLE | SAMPLE_HELDOUT | CENTROIDS | CODES | RESIDUALS | VALUES
        | IVF_LENGTHS => &[(SAMPLED_PIDS, ""), (DOCLENS, "")],
        IVF => &[(SAMPLED_PIDS, ""), (DOCLENS, ""), (IVF_LENGTHS, "")],
        _ => &[],
    }
}

impl Referee<'_> {
    fn artifact(
        &mut self,
        name: &str,
        field: &str,
        progress: &mut dyn FnMut(DiffProgress<'_>),
    ) -> Result<Judgement, DiffError> {
        for &key in keys_of(name) {
            if key != (name, field) && !self.agree_on(key)? {
                let by = key.0.to_owned();
                return Ok(NotComparable::Rows { by }.into());
            }
        }
        let [a, b] = self.sides;
        let (a, b, truth) = (
            a.artifact(name)?,
            b.artifact(name)?,
            self.truth.artifact(name)?,
        );
        let fields = [&a, &b, &truth].map(|known| named(known.as_ref()?, field));
        let [Some(a), Some(b), Some(truth)] = fields else {
            return Ok(NotComparable::Absent.into());
        };
        let failed = |source| DiffError::Elements {
            name: name.to_owned(),
            source,
        };
        let parts = [a, b, truth].map(|field| field.parts().map_err(failed));
        let [a, b, truth] = parts;
        let (Some(a), Some(b), Some(truth)) = (a?, b?, truth?) else {
            return Ok(NotComparable::Absent.into());
        };
        if a.0.shape != truth.0.shape || b.0.shape != truth.0.shape {
            return Ok(NotComparable::Shape.into());
        }
        let kept = self.kept_rounded([&a.0, &b.0, &truth.0]);
        let distances = distances([a, b], truth, kept, &mut |done, total| {
            progress(DiffProgress { name, done, total });
        });
        let [a, b] = distances.map_err(failed)?;
        Ok(Judgement::of(a, b))
    }

    /// Whether no side is known to have other values of that tensor than the referee.
    fn agree_on(&mut self, key: Key) -> Result<bool, DiffError> {
        if let Some(&known) = self.agreements.get(&key) {
            return Ok(known);
        }
        let (artifact, field) = key;
        let truth = self.truth.artifact(artifact)?;
        let mut agree = true;
        for side in self.sides {
            let known = side.artifact(artifact)?;
            let fields = [&known, &truth].map(|known| named(known.as_ref()?, field));
            let [Some(of_side), Some(of_truth)] = fields else {
                continue;
            };
            let compared = field::compare(of_side, of_truth, Tolerance::default(), &mut |_, _| ());
            let compared = compared.map_err(|source| DiffError::Elements {
                name: artifact.to_owned(),
                source,
            })?;
            // The same numbers may be kept in another dtype.
            let differing = compared.numbers.map(|numbers| numbers.report.differing);
            agree &= !matches!(compared.bits, Bits::Different(_)) || differing == Some(0);
        }
        self.agreements.insert(key, agree);
        Ok(agree)
    }

    /// The dtype to which an index rounds the tensor to keep it, where that is narrower than the referee's:
    /// all three are then rounded to it, so that they are told apart by what was computed.
    fn kept_rounded(&self, [a, b, truth]: [&Form; 3]) -> Option<DType> {
        let of_indexes = self.sides.iter().zip([a, b]);
        let of_indexes = of_indexes.filter(|(side, _)| matches!(side.holding(), Holding::Index(_)));
        let dtypes = of_indexes.map(|(_, form)| form.dtype);
        dtypes
            .filter(|dtype| {
                let all_are_floats = [a, b, truth].iter().all(|form| form.dtype.is_float());
                all_are_floats && dtype.size() < truth.dtype.size()
            })
            .min_by_key(|dtype| dtype.size())
    }
}

/// How far two tensors are from a third of the same shape, all of them cast to `kept` if it is given.
fn distances(
    [(form_a, parts_a), (form_b, parts_b)]: [(Form, Vec<Part<'_>>); 2],
    (form, parts): (Form, Vec<Part<'_>>),
    kept: Option<DType>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<[Distance; 2], ElementsError> {
    let dtypes = [form_a.dtype, form_b.dtype, form.dtype];
    let size = dtypes.iter().map(|dtype| dtype.size()).fold(1, usize::max);
    let total: usize = parts.iter().map(Part::len).sum();
    let [dtype_a, dtype_b, dtype] = dtypes.map(|dtype| kept.unwrap_or(dtype));
    let against = |of_side| Closeness::between(Tolerance::default(), of_side, dtype, &form.shape);
    let (mut far_a, mut far_b) = (against(dtype_a), against(dtype_b));
    let (mut a, mut b) = (Elements::new(parts_a), Elements::new(parts_b));
    let mut truth = Elements::new(parts);
    let mut done = 0;
    loop {
        let available = [a.available()?, b.available()?, truth.available()?];
        let count = available.into_iter().fold(PIECE / size, usize::min);
        let pieces = (a.next(count)?, b.next(count)?, truth.next(count)?);
        let (Some(piece_a), Some(piece_b), Some(piece)) = pieces else {
            return Ok([
                Distance::of(&far_a.finish()?),
                Distance::of(&far_b.finish()?),
            ]);
        };
        let piece = piece.cast(dtype)?;
        far_a.update(&piece_a.cast(dtype_a)?, &piece)?;
        far_b.update(&piece_b.cast(dtype_b)?, &piece)?;
        done += count;
        progress((done * size) as u64, (total * size) as u64);
    }
}

/// The judgement on a module that both runs tapped; `passages` is how many both have there.
fn module(
    path: &str,
    field: &FieldDiff,
    passages: usize,
    [a, b, truth]: &[Taps<'_>; 3],
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<Judgement, DiffError> {
    let mut distances = Vec::new();
    let elements = field
        .numbers
        .as_ref()
        .map(|numbers| numbers.report.elements);
    for side in [a, b] {
        let row = taps::row(path, side, truth, Tolerance::default(), progress)?;
        if row.presence != Presence::Both {
            return Ok(NotComparable::Absent.into());
        }
        if row.passages.map(|passages| passages.common) != Some(passages) {
            return Ok(NotComparable::Passages.into());
        }
        let compared = &row.fields[0];
        distances.push(match &compared.numbers {
            Some(numbers) if Some(numbers.report.elements) == elements => {
                Distance::of(&numbers.report)
            }
            Some(_) => return Ok(NotComparable::Shape.into()),
            // A side that is the referee itself.
            None if !matches!(compared.bits, Bits::Different(_)) => Distance::ZERO,
            None => return Ok(NotComparable::Shape.into()),
        });
    }
    Ok(Judgement::of(distances[0], distances[1]))
}
