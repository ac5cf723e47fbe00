//! The rows of two files: tensors beside each other, as they are found.

use std::collections::{HashMap, HashSet};

use concord_tensor::closeness::Tolerance;
use concord_tensor::pt::{Id, PtProblem};
use concord_tensor::{ElementType, FileError, StoredTensor};

use super::path::Way;
use crate::diff::error::DiffError;
use crate::diff::field;
use crate::diff::progress::DiffProgress;
use crate::diff::report::{
    Bits, Counts, DiffRow, Evidence, FieldDiff, Outcome, Presence, RowKind, TensorForm,
};
use crate::elements::{Elements, ElementsError, PIECE};
use crate::side::{Artifact, Form, Part};

/// From how many rows on only those that differ are listed, and how many are listed at all.
const MAX_ROWS: usize = 10_000;
const MAX_DIFFERENT_ROWS: usize = 2 * MAX_ROWS;

/// What the tensor of a file without names is called.
const UNNAMED: &str = "tensor";

/// How many bytes are read at most: of a file so many times its length, and so many beside.
const REPEATED_TIMES: u64 = 16;
const REPEATED: u64 = 32 << 20;

/// The rows so far.
pub(super) struct Rows<'p> {
    tolerance: Tolerance,
    progress: &'p mut dyn FnMut(DiffProgress<'_>),
    pub(super) rows: Vec<DiffRow>,
    /// What came of rows that are not listed.
    pub(super) unlisted: Counts,
    /// The names of the rows.
    names: HashSet<String>,
    /// What came of pairs that one file or both have at several places, and their rows.
    known: HashMap<(Id, Id), (Outcome, Option<usize>)>,
    /// Bytes that may still be read, and of how many.
    left: u64,
    limit: u64,
    files: u64,
}

/// A name that is only made if it is needed.
pub(super) enum Name<'a> {
    Way(&'a Way<'a>),
    Given(&'a str),
}

impl Name<'_> {
    fn text(&self) -> String {
        let text = match self {
            Name::Way(way) => way.dotted(),
            Name::Given(name) => (*name).to_owned(),
        };
        if text.is_empty() {
            UNNAMED.to_owned()
        } else {
            text
        }
    }
}

impl<'p> Rows<'p> {
    /// Rows of two files of that many bytes in sum.
    pub(super) fn new(
        tolerance: Tolerance,
        files: u64,
        progress: &'p mut dyn FnMut(DiffProgress<'_>),
    ) -> Rows<'p> {
        let limit = files
            .saturating_mul(REPEATED_TIMES)
            .saturating_add(2 * REPEATED);
        Rows {
            tolerance,
            progress,
            rows: Vec::new(),
            unlisted: Counts::default(),
            names: HashSet::new(),
            known: HashMap::new(),
            left: limit,
            limit,
            files,
        }
    }

    /// The tensors of both sides at one place, and which they are, where they may come again.
    pub(super) fn both(
        &mut self,
        name: &Name<'_>,
        pair: Option<(Id, Id)>,
        tensors: impl FnOnce() -> Result<(StoredTensor, StoredTensor), FileError>,
    ) -> Result<(), DiffError> {
        if let Some(&(outcome, row)) = pair.and_then(|pair| self.known.get(&pair)) {
            match row {
                Some(row) if self.is_listed(outcome) => {
                    let fields = self.rows[row].fields.clone();
                    self.list(name, Presence::Both, outcome, fields);
                }
                _ => self.count(outcome),
            }
            return Ok(());
        }
        let (a, b) = tensors()?;
        // The name is part of messages and of the progress of what takes long.
        let text = name.text();
        let bytes = a.source().len() * a.source().dtype().size();
        self.left = match self.left.checked_sub(bytes as u64) {
            Some(left) => left,
            None => {
                let (bytes, file, limit) = (self.limit, self.files, self.limit);
                let problem = PtProblem::Inflated { bytes, file, limit }.into();
                let path = a.source().path().to_owned();
                return Err(FileError { path, problem }.into());
            }
        };
        let progress = &mut self.progress;
        let compared = compare(&a, &b, self.tolerance, &mut |done, total| {
            progress(DiffProgress {
                name: &text,
                done,
                total,
            });
        });
        let field = compared.map_err(|source| DiffError::Elements { name: text, source })?;
        let fields = vec![field];
        let outcome = Outcome::of(&fields);
        let row = self.is_listed(outcome).then_some(self.rows.len());
        if let Some(pair) = pair {
            self.known.insert(pair, (outcome, row));
        }
        match row {
            Some(_) => self.list(name, Presence::Both, outcome, fields),
            None => self.count(outcome),
        }
        Ok(())
    }

    /// A tensor that one side alone has, which is a difference.
    pub(super) fn only(
        &mut self,
        name: &Name<'_>,
        in_a: bool,
        tensor: impl FnOnce() -> Result<StoredTensor, FileError>,
    ) -> Result<(), DiffError> {
        if !self.is_listed(Outcome::Different) {
            self.count(Outcome::Different);
            return Ok(());
        }
        let form = Some(form(&tensor()?));
        let (a, b) = if in_a { (form, None) } else { (None, form) };
        let field = FieldDiff {
            name: String::new(),
            a,
            b,
            shape_same: None,
            dtype_same: None,
            bits: Bits::Different(Evidence::Form),
            values: None,
            numbers: None,
            referee: None,
        };
        let presence = Presence::of(in_a, !in_a);
        self.list(name, presence, Outcome::Different, vec![field]);
        Ok(())
    }

    /// Whether a row is listed that came out so.
    fn is_listed(&self, outcome: Outcome) -> bool {
        let limit = match outcome {
            Outcome::Same => MAX_ROWS,
            _ => MAX_DIFFERENT_ROWS,
        };
        self.rows.len() < limit
    }

    fn list(
        &mut self,
        name: &Name<'_>,
        presence: Presence,
        outcome: Outcome,
        fields: Vec<FieldDiff>,
    ) {
        let mut text = name.text();
        // `a.b` can be a key, or the key `b` of what is under `a`.
        if let (true, Name::Way(way)) = (self.names.contains(&text), name) {
            text = way.python();
        }
        self.names.insert(text.clone());
        self.rows.push(DiffRow {
            name: text,
            kind: RowKind::Tensor,
            presence,
            outcome,
            fields,
            passages: None,
        });
    }

    fn count(&mut self, outcome: Outcome) {
        self.unlisted.add(outcome);
    }
}

fn form(tensor: &StoredTensor) -> TensorForm {
    TensorForm {
        dtype: tensor.element_type(),
        shape: tensor.shape().to_vec(),
    }
}

fn compare(
    a: &StoredTensor,
    b: &StoredTensor,
    tolerance: Tolerance,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<FieldDiff, ElementsError> {
    let (form_a, form_b) = (form(a), form(b));
    if let (ElementType::Known(_), ElementType::Known(_)) = (&form_a.dtype, &form_b.dtype) {
        let [of_a, of_b] = [a, b].map(|known| {
            let source = known.source().clone();
            let (dtype, shape) = (source.dtype(), source.shape().to_vec());
            let len = source.len();
            Artifact::of_values(Form { dtype, shape }, vec![Part::File { source, len }])
        });
        return field::compare(&of_a.fields[0], &of_b.fields[0], tolerance, progress);
    }
    let shape_same = form_a.shape == form_b.shape;
    let dtype_same = form_a.dtype == form_b.dtype;
    let bits = if shape_same && dtype_same {
        Bits::found(same_bytes(a, b, progress)?, Evidence::Values)
    } else {
        Bits::Different(Evidence::Form)
    };
    Ok(FieldDiff {
        name: String::new(),
        a: Some(form_a),
        b: Some(form_b),
        shape_same: Some(shape_same),
        dtype_same: Some(dtype_same),
        bits,
        values: None,
        numbers: None,
        referee: None,
    })
}

/// Whether two tensors of elements that are bits alone have the same.
fn same_bytes(
    a: &StoredTensor,
    b: &StoredTensor,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<bool, ElementsError> {
    let elements = |stored: &StoredTensor| {
        let source = stored.source().clone();
        let len = source.len();
        (len, Elements::new(vec![Part::File { source, len }]))
    };
    let ((total, mut a), (len, mut b)) = (elements(a), elements(b));
    if total != len {
        return Ok(false);
    }
    let mut done = 0;
    while let (Some(piece_a), Some(piece_b)) = (a.next(PIECE)?, b.next(PIECE)?) {
        if piece_a.bytes() != piece_b.bytes() {
            return Ok(false);
        }
        done += piece_a.len();
        progress(done as u64, total as u64);
    }
    Ok(true)
}
