//! What a comparison found.

use std::fmt;

use concord_tensor::ElementType;
use concord_tensor::closeness::{ClosenessReport, Tolerance};
use serde::{Deserialize, Serialize};

use super::judgement::Judgement;
use super::remarks::Remark;
use super::values::ValuesDiff;
use crate::side::{Form, SideKind};

/// Two sides compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiffReport {
    pub a: Compared,
    pub b: Compared,
    /// What `allclose` means in this report.
    pub tolerance: Tolerance,
    /// Where the two say that they started from something else, before any artifact.
    pub remarks: Vec<Remark>,
    /// One row for each artifact, tap or tensor: in the order of the graph, or of the file.
    pub rows: Vec<DiffRow>,
    /// The name of the first row that differs; where none does, the path of the first value that does.
    pub first_different: Option<String>,
    /// The settings by which two indexes are read and searched, those that are not the same; `remarks` has the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_different: Vec<String>,
    /// How many rows came out how, those included that are not listed.
    pub counts: Counts,
    /// How many rows are not listed, for there are too many.
    #[serde(default, skip_serializing_if = "Counts::is_zero")]
    pub unlisted: Counts,
    /// How the values of two files came out that are no tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<ValuesDiff>,
    pub verdict: Verdict,
    /// The subject that was run in double precision to say which side is nearer the truth, where one was. The
    /// errors of a row are those of its values against this run's, with all that came before in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referee: Option<String>,
}

/// A side as the report names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Its name: its path, as it was given, or the specification of a subject that was run.
    pub name: String,
    pub kind: SideKind,
    /// The subject that was recorded, where it is a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// In what it is not as it was written, where it is an index and something is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// How many rows came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that are the same, bit for bit.
    pub same: usize,
    pub different: usize,
    /// Rows of which it cannot be told.
    pub unknown: usize,
    /// Rows that one side has and the other need not have.
    pub one_sided: usize,
}

impl Counts {
    /// Whether there is nothing to count.
    pub fn is_zero(&self) -> bool {
        *self == Counts::default()
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Same => &mut self.same,
            Outcome::Different => &mut self.different,
            Outcome::Unknown => &mut self.unknown,
            Outcome::OneSided => &mut self.one_sided,
        } += 1;
    }
}

/// Whether two sides are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Verdict {
    /// Every row that both have is the same, bit for bit, and there is at least one.
    Same,
    /// At least one row differs, or a setting by which an index is read.
    Different,
    /// No row is known to differ, and of these it cannot be told; of all, if the two have no row in
    /// common, or one of them is damaged.
    CannotTell {
        /// The rows, in order; empty where nothing could be compared at all.
        unknown: Vec<String>,
    },
}

/// One artifact, the taps of one module, or one tensor of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiffRow {
    /// The artifact's name, the module's path, or the tensor's name.
    pub name: String,
    /// Which of these it is.
    pub kind: RowKind,
    pub presence: Presence,
    pub outcome: Outcome,
    /// Its tensors; a single one has the empty name.
    pub fields: Vec<FieldDiff>,
    /// The passages of a tap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passages: Option<TappedPassages>,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// An artifact of the graph.
    Artifact,
    /// What a module inside the encoder computed.
    Tap,
    /// A tensor of a file.
    Tensor,
}

/// Which sides have something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Both,
    OnlyA,
    OnlyB,
    Neither,
}

impl Presence {
    /// Who has it, given whether the first and whether the second has.
    pub(crate) fn of(a: bool, b: bool) -> Presence {
        match (a, b) {
            (true, true) => Presence::Both,
            (true, false) => Presence::OnlyA,
            (false, true) => Presence::OnlyB,
            (false, false) => Presence::Neither,
        }
    }
}

/// How a row came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The same, bit for bit.
    Same,
    /// Different in bits, dtype, shape, or in being there.
    Different,
    /// Neither hashes nor values of both sides can be compared.
    Unknown,
    /// One side does not have it, which is no difference: a side of its kind need not.
    OneSided,
}

/// One tensor of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// The name of the field; empty for the only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Dtype and shape on the first side, over all chunks.
    pub a: Option<TensorForm>,
    /// On the second.
    pub b: Option<TensorForm>,
    /// Whether the shapes are the same; `None` where one side lacks the field.
    pub shape_same: Option<bool>,
    /// Whether the dtypes are the same.
    pub dtype_same: Option<bool>,
    /// Whether the bits are, and how that is known.
    pub bits: Bits,
    /// Who had values to compare. `None` where they were not needed.
    pub values: Option<Presence>,
    /// How far apart the values are, where those of both sides are at hand and were read. Values that have
    /// the same hashes in two runs are not, so nothing is said of NaNs among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// Which side is nearer the referee's, where there is a referee and `numbers` say of a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referee: Option<Judgement>,
}

/// Dtype and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorForm {
    /// The type of the elements: in files also one that is only compared as bits.
    pub dtype: ElementType,
    /// The shape, outermost dimension first; rows of all chunks.
    pub shape: Vec<usize>,
}

impl From<&Form> for TensorForm {
    fn from(form: &Form) -> TensorForm {
        TensorForm {
            dtype: form.dtype.into(),
            shape: form.shape.clone(),
        }
    }
}

/// Whether two tensors have the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "same", content = "by")]
pub enum Bits {
    #[serde(rename = "yes")]
    Same(Evidence),
    #[serde(rename = "no")]
    Different(Evidence),
    #[serde(rename = "unknown")]
    Unknown(Unknown),
}

impl Bits {
    pub(crate) fn found(same: bool, by: Evidence) -> Bits {
        if same {
            Bits::Same(by)
        } else {
            Bits::Different(by)
        }
    }
}

/// What decided whether bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Dtype or shape differ, or one side lacks it.
    Form,
    /// The hashes of both sides, or of one side and of the other's values.
    Hashes,
    /// The values of both sides.
    Values,
}

/// Why it cannot be told whether bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Both have only hashes, of chunks that are cut differently.
    Grids,
    /// What was recorded on both sides agrees, but not the same passages were.
    Passages,
    /// One side does not have it.
    OneSided,
    /// Both have only hashes, by different rules.
    HashRules,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unknown::Grids => "only hashes, of chunks cut differently",
            Unknown::Passages => "not the same passages were tapped",
            Unknown::OneSided => "only one side has it",
            Unknown::HashRules => "only hashes, by two rules",
        })
    }
}

/// How far apart two tensors are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// The figures and where they are. Positions are in the tensor of all chunks; for a tap, in the rows
    /// of the passages that both sides have, in the order of pids.
    ///
    /// Its dtypes are those of the values that were read, which may differ from the row's: an index keeps
    /// its centroids rounded to f16.
    #[serde(flatten)]
    pub report: ClosenessReport,
    /// The same places, told by passage.
    pub spots: Spots,
}

/// Places told by passage, where rows belong to passages and the lengths of the passages are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spots {
    pub first_difference: Option<Spot>,
    pub max_abs: Option<Spot>,
    pub max_rel: Option<Spot>,
    pub worst_ulps: Option<Spot>,
}

impl Spots {
    /// The places of a report, each given by `spot` from the number of its row.
    pub(crate) fn of(report: &ClosenessReport, spot: impl Fn(usize) -> Option<Spot>) -> Spots {
        let ulps = report.ulps.as_ref().and_then(|ulps| ulps.worst.as_ref());
        let row = |index: &Vec<usize>| spot(*index.first()?);
        Spots {
            first_difference: report.first_difference.as_ref().and_then(|p| row(&p.index)),
            max_abs: report.max_abs.as_ref().and_then(|p| row(&p.at.index)),
            max_rel: report.max_rel.as_ref().and_then(|p| row(&p.at.index)),
            worst_ulps: ulps.and_then(|p| row(&p.at.index)),
        }
    }
}

/// A row of a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The passage. Where the two sides count their passages differently, by the first side's count.
    pub pid: usize,
    /// Which of the passage's rows it is, from 0.
    pub token: usize,
}

/// The passages at which a module was tapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TappedPassages {
    /// How many both sides have.
    pub common: usize,
    /// How many of those differ.
    pub differing: usize,
    /// The first of those that differ.
    pub first_differing_pid: Option<usize>,
    /// Of how many it cannot be told: their hashes are by two rules, and neither side keeps their values.
    #[serde(default, skip_serializing_if = "super::judgement::is_zero")]
    pub unknown: usize,
    /// How many only the first side has.
    pub only_a: usize,
    /// How many only the second has.
    pub only_b: usize,
}

impl Outcome {
    /// The outcome of a row that both sides have.
    pub(crate) fn of(fields: &[FieldDiff]) -> Outcome {
        let any = |wanted: fn(&Bits) -> bool| fields.iter().any(|field| wanted(&field.bits));
        if any(|bits| matches!(bits, Bits::Different(_))) {
            Outcome::Different
        } else if any(|bits| matches!(bits, Bits::Unknown(_))) {
            Outcome::Unknown
        } else {
            Outcome::Same
        }
    }
}

impl DiffReport {
    pub(super) fn new(
        [a, b]: [Compared; 2],
        tolerance: Tolerance,
        remarks: Vec<Remark>,
        rows: Vec<DiffRow>,
        settings_different: Vec<String>,
    ) -> DiffReport {
        let mut counts = Counts::default();
        for row in &rows {
            counts.add(row.outcome);
        }
        let named = |outcome| {
            let rows = rows.iter().filter(move |row| row.outcome == outcome);
            rows.map(|row| row.name.clone())
        };
        let first_different = named(Outcome::Different).next();
        let intact = a.damage.is_none() && b.damage.is_none();
        let verdict = if first_different.is_some() || !settings_different.is_empty() {
            Verdict::Different
        } else if counts.unknown == 0 && counts.same > 0 && intact {
            Verdict::Same
        } else {
            let unknown = named(Outcome::Unknown).collect();
            Verdict::CannotTell { unknown }
        };
        DiffReport {
            a,
            b,
            tolerance,
            remarks,
            rows,
            first_different,
            settings_different,
            counts,
            unlisted: Counts::default(),
            values: None,
            verdict,
            referee: None,
        }
    }

    /// The report of two files, with `unlisted` rows beside the rows.
    pub(super) fn of_files(
        sides: [Compared; 2],
        tolerance: Tolerance,
        (rows, unlisted): (Vec<DiffRow>, Counts),
        values: ValuesDiff,
    ) -> DiffReport {
        let mut report = DiffReport::new(sides, tolerance, Vec::new(), rows, Vec::new());
        let Counts {
            same,
            different,
            unknown,
            one_sided,
        } = unlisted;
        report.counts.same += same;
        report.counts.different += different;
        report.counts.unknown += unknown;
        report.counts.one_sided += one_sided;
        report.unlisted = unlisted;
        let first = values
            .differences
            .first()
            .map(|first| match first.path.as_str() {
                "" => "the whole value".to_owned(),
                path => path.to_owned(),
            });
        report.first_different = report.first_different.or(first);
        report.verdict = if report.counts.different > 0 || !values.is_same() {
            Verdict::Different
        } else if report.counts.unknown > 0 || !values.unknown.is_empty() {
            let rows = report
                .rows
                .iter()
                .filter(|row| row.outcome == Outcome::Unknown);
            let names = rows
                .map(|row| row.name.clone())
                .chain(values.unknown.iter().cloned());
            Verdict::CannotTell {
                unknown: names.collect(),
            }
        } else {
            // Each file has at least its whole value, which was compared.
            Verdict::Same
        };
        report.values = Some(values);
        report
    }
}
