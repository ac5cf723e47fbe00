//! What a side knows of an artifact.

use std::path::Path;

use concord_pipeline::{ArtifactRecord, RecordedRun};
use concord_tensor::BitHash;

use super::error::SideError;
use super::form::{Form, Joined};
use super::part::Part;
use crate::elements::{ElementsError, open_blob};

/// An artifact as one side has it.
pub(crate) struct Artifact<'a> {
    /// Its tensors; the only one of an artifact without fields has the empty name.
    pub(crate) fields: Vec<Field<'a>>,
}

impl<'a> Artifact<'a> {
    /// An artifact of one tensor whose elements are at hand and which no record speaks of.
    pub(crate) fn of_values(form: Form, parts: Vec<Part<'a>>) -> Artifact<'a> {
        let name = String::new();
        let values = Values::Stored { form, parts };
        let recorded = None;
        Artifact {
            fields: vec![Field {
                name,
                recorded,
                values,
            }],
        }
    }
}

/// One tensor of an artifact, over all chunks. It is recorded, or its values are at hand, or both.
pub(crate) struct Field<'a> {
    pub(crate) name: String,
    pub(crate) recorded: Option<Recorded>,
    pub(crate) values: Values<'a>,
}

impl<'a> Field<'a> {
    /// Dtype and shape by the record.
    pub(crate) fn recorded_form(&self) -> Option<&Form> {
        self.recorded.as_ref().map(|recorded| &recorded.form)
    }

    /// Dtype and shape of what is at hand, else of what was recorded.
    pub(crate) fn stored_form(&self) -> Option<&Form> {
        match &self.values {
            Values::Stored { form, .. } => Some(form),
            Values::Absent | Values::Blobs(_) => self.recorded_form(),
        }
    }

    /// Where the elements are, and of what form they are there; `None` where they are not all at hand.
    ///
    /// # Errors
    /// When a blob is there and cannot be opened.
    pub(crate) fn parts(&self) -> Result<Option<(Form, Vec<Part<'a>>)>, ElementsError> {
        let (run, recorded) = match (&self.values, &self.recorded) {
            (Values::Stored { form, parts }, _) => {
                return Ok(Some((form.clone(), parts.clone())));
            }
            (Values::Blobs(run), Some(recorded)) => (*run, recorded),
            _ => return Ok(None),
        };
        let mut parts = Vec::with_capacity(recorded.chunks.len());
        for (shape, hash) in &recorded.chunks {
            let (dtype, shape, hash) = (recorded.form.dtype, shape.clone(), *hash);
            let form = Form { dtype, shape };
            if open_blob(run, hash, &form)?.is_none() {
                return Ok(None);
            }
            parts.push(Part::Blob { run, hash, form });
        }
        Ok(Some((recorded.form.clone(), parts)))
    }
}

/// What a manifest or an event says of a tensor.
pub(crate) struct Recorded {
    /// Of all chunks together: their rows one after another.
    pub(crate) form: Form,
    /// Shape and hash of each chunk.
    pub(crate) chunks: Vec<(Vec<usize>, BitHash)>,
}

/// Where the elements of a tensor are.
pub(crate) enum Values<'a> {
    Absent,
    /// In files or in memory. The form may be another than the recorded one: an index keeps its
    /// centroids rounded to f16.
    Stored {
        form: Form,
        parts: Vec<Part<'a>>,
    },
    /// In the run, under the hashes of the chunks, if it keeps values.
    Blobs(&'a RecordedRun),
}

impl Values<'_> {
    /// Whether the values are looked up by hash, so that equal hashes are the same values.
    pub(crate) fn are_addressed(&self) -> bool {
        matches!(self, Values::Absent | Values::Blobs(_))
    }
}

/// What a record says of each field of an artifact.
///
/// # Errors
/// [`SideError::Ragged`] when the chunks do not make one tensor per field.
pub(crate) fn recorded_fields(
    path: &Path,
    record: &ArtifactRecord,
) -> Result<Vec<(String, Recorded)>, SideError> {
    let Some(first) = record.chunks.first() else {
        return Ok(Vec::new());
    };
    if let Some((chunk, extra)) = extra_field(record) {
        return Err(SideError::Ragged {
            path: path.to_owned(),
            artifact: record.name.clone(),
            field: extra.to_owned(),
            chunk,
            what: "they do not have this field".to_owned(),
        });
    }
    first
        .fields
        .iter()
        .map(|field| {
            let ragged = |chunk, what| SideError::Ragged {
                path: path.to_owned(),
                artifact: record.name.clone(),
                field: field.name.clone(),
                chunk,
                what,
            };
            let mut chunks = Vec::with_capacity(record.chunks.len());
            let mut joined = Joined::default();
            for (number, chunk) in record.chunks.iter().enumerate() {
                let part = chunk.fields.iter().find(|part| part.name == field.name);
                let part = part.ok_or_else(|| ragged(number, "it has no such field".to_owned()))?;
                joined
                    .add(part.dtype, &part.shape)
                    .map_err(|what| ragged(number, what))?;
                chunks.push((part.shape.clone(), part.hash));
            }
            let form = joined.form.unwrap_or(Form {
                dtype: field.dtype,
                shape: field.shape.clone(),
            });
            Ok((field.name.clone(), Recorded { form, chunks }))
        })
        .collect()
}

/// The first field that a later chunk has and the first chunk does not.
fn extra_field(record: &ArtifactRecord) -> Option<(usize, &str)> {
    let (first, rest) = record.chunks.split_first()?;
    rest.iter().enumerate().find_map(|(number, chunk)| {
        let extra = chunk
            .fields
            .iter()
            .find(|field| first.fields.iter().all(|known| known.name != field.name))?;
        Some((number + 1, extra.name.as_str()))
    })
}
