//! Many subjects in a row: what differs between each and the next.

use concord_subject::torch::DEPARTURES;
use serde::{Deserialize, Serialize};

use crate::diff::{About, DiffReport, DiffRow, Outcome, Presence, Remark, RowKind, Verdict};

/// Two neighbours of a matrix, compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairReport {
    pub a: String,
    pub b: String,
    pub verdict: Verdict,
    /// The artifacts that both have.
    pub artifacts: ArtifactCounts,
    /// The first artifact that differs, in the order of the graph.
    pub first_artifact: Option<String>,
    /// The modules inside the encoder that both tapped.
    pub taps: TapCounts,
    /// The first module that computed something else, in the order of computation.
    pub first_tap: Option<FirstTap>,
    /// The largest difference of an embedding's element, where values were kept and differ.
    pub embeddings_max_abs: Option<f64>,
    /// The inputs that were not the same, by name: with any, nothing else says much.
    pub inputs_differ: Vec<String>,
    /// The options that were not the same: versions of libraries, batch size, …
    pub options_differ: Vec<Remark>,
}

/// How many artifacts came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactCounts {
    /// How many both have.
    pub compared: usize,
    /// Those with the same shape.
    pub same_shape: usize,
    /// Those with the same bits.
    pub same_bits: usize,
    /// Those that are close, or the same.
    pub close: usize,
}

/// How many modules came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapCounts {
    /// How many both tapped.
    pub compared: usize,
    /// Those that computed something else for at least one passage.
    pub different: usize,
}

/// The first module that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstTap {
    pub module: String,
    /// The passages for which it differs.
    pub passages: usize,
    /// Of how many.
    pub of: usize,
}

/// The artifact that holds the embeddings before they are rounded to half precision.
const EMBEDDINGS: &str = concord_pipeline::artifact::D;

impl PairReport {
    /// What a comparison says, in short.
    pub fn of(report: &DiffReport) -> PairReport {
        let rows = |kind: RowKind| {
            let rows = report.rows.iter();
            rows.filter(move |row| row.kind == kind && row.presence == Presence::Both)
        };
        let mut artifacts = ArtifactCounts::default();
        for row in rows(RowKind::Artifact) {
            artifacts.compared += 1;
            artifacts.same_shape += usize::from(has_same_shape(row));
            artifacts.same_bits += usize::from(row.outcome == Outcome::Same);
            artifacts.close += usize::from(is_close(row));
        }
        let different = |row: &&DiffRow| row.outcome == Outcome::Different;
        let first_tap = rows(RowKind::Tap).find(different);
        let remarks = |about| {
            let remarks = report.remarks.iter();
            remarks.filter(move |remark| remark.about == about && remark.is_difference())
        };
        let name = |side: &crate::diff::Compared| {
            side.subject.clone().unwrap_or_else(|| side.name.clone())
        };
        PairReport {
            a: name(&report.a),
            b: name(&report.b),
            verdict: report.verdict.clone(),
            artifacts,
            first_artifact: report
                .rows
                .iter()
                .find(|row| row.kind == RowKind::Artifact && different(row))
                .map(|row| row.name.clone()),
            taps: TapCounts {
                compared: rows(RowKind::Tap).count(),
                different: rows(RowKind::Tap).filter(different).count(),
            },
            first_tap: first_tap.map(|row| FirstTap {
                module: row.name.clone(),
                passages: row.passages.map_or(0, |passages| passages.differing),
                of: row.passages.map_or(0, |passages| passages.common),
            }),
            embeddings_max_abs: rows(RowKind::Artifact)
                .find(|row| row.name == EMBEDDINGS)
                .and_then(largest_difference),
            inputs_differ: remarks(About::Input)
                .map(|remark| remark.name.clone())
                .collect(),
            options_differ: remarks(About::Option).cloned().collect(),
        }
    }

    /// The packages besides PyTorch in which the environments of the two differ, each with the subject that
    /// has another one than most: a difference between them need not be PyTorch's.
    pub fn departures(&self) -> Vec<(&str, String)> {
        let named = |remark: &&Remark| remark.name == DEPARTURES;
        let Some(remark) = self.options_differ.iter().find(named) else {
            return Vec::new();
        };
        let sides = [(&self.a, &remark.a), (&self.b, &remark.b)];
        let told = sides.into_iter().flat_map(|(subject, list)| {
            let list = list.as_deref().unwrap_or("[]");
            let list: Vec<String> = serde_json::from_str(list).unwrap_or_default();
            list.into_iter()
                .map(move |departure| (subject.as_str(), departure))
        });
        told.collect()
    }

    /// Whether the two are known to be the same, bit for bit.
    pub fn is_same(&self) -> bool {
        self.verdict == Verdict::Same
    }
}

fn has_same_shape(row: &DiffRow) -> bool {
    row.fields
        .iter()
        .all(|field| field.shape_same == Some(true) && field.dtype_same == Some(true))
}

fn is_close(row: &DiffRow) -> bool {
    row.outcome == Outcome::Same
        || row.fields.iter().all(|field| {
            let numbers = field.numbers.as_ref();
            numbers.is_some_and(|numbers| numbers.report.allclose)
                || matches!(field.bits, crate::diff::Bits::Same(_))
        })
}

fn largest_difference(row: &DiffRow) -> Option<f64> {
    let numbers = row.fields.iter().find_map(|field| field.numbers.as_ref())?;
    Some(numbers.report.max_abs.as_ref()?.value)
}

/// Finds two neighbours that differ among `count` subjects by halving, without asking about all of them.
/// `same` says whether the subjects with these numbers are the same.
///
/// The answer is the number of the first of the two, or `None` where the first and the last subject are
/// the same: what differs between them and comes back is then not found.
///
/// # Errors
/// What `same` fails with.
pub fn bisect<E>(
    count: usize,
    mut same: impl FnMut(usize, usize) -> Result<bool, E>,
) -> Result<Option<usize>, E> {
    let Some(mut high) = count.checked_sub(1) else {
        return Ok(None);
    };
    let mut low = 0;
    if high == 0 || same(low, high)? {
        return Ok(None);
    }
    // `low` and `high` differ throughout.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if same(low, middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[u32]) -> (Option<usize>, usize) {
        let mut asked = 0;
        let answer = bisect(values.len(), |a, b| {
            asked += 1;
            Ok::<_, ()>(values[a] == values[b])
        });
        (answer.unwrap(), asked)
    }

    #[test]
    fn a_change_is_found_by_halving() {
        for change in 1..100 {
            let values: Vec<u32> = (0..100).map(|n| u32::from(n >= change)).collect();
            let (answer, asked) = found(&values);
            assert_eq!(answer, Some(change - 1));
            assert!(asked <= 8, "{asked} comparisons");
        }
    }

    #[test]
    fn of_several_changes_one_is_found() {
        let values = [1, 1, 2, 2, 2, 3, 4, 4];
        let at = found(&values).0.unwrap();
        assert_ne!(values[at], values[at + 1]);
    }

    #[test]
    fn equal_ends_and_too_few_subjects_have_no_answer() {
        for values in [&[][..], &[1], &[1, 1], &[1, 2, 1]] {
            assert_eq!(found(values).0, None);
        }
    }
}
