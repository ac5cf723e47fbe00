//! What is known of passages beside their texts: a JSON object each.

use std::io::BufRead;
use std::path::Path;

use crate::document_ids::DocumentIds;
use crate::error::{CorpusError, LineProblem};
use crate::ids::quoted;
use crate::json_fields;
use crate::json_objects::kept;
use crate::lines::Lines;
use crate::packed_strings::PackedStrings;
use crate::source::open_file;

/// The object of each passage, as JSON in one form: compact, the keys in the order of their bytes.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    objects: PackedStrings,
    /// How many are not empty.
    some: usize,
}

impl Metadata {
    /// Reads the objects of so many `passages` that `ids` knows from the file at `path`: JSON lines, also packed by gzip.
    ///
    /// # Errors
    /// As [`Metadata::parse`]; and when the file cannot be opened.
    pub fn open(
        path: impl AsRef<Path>,
        ids: &dyn DocumentIds,
        passages: usize,
    ) -> Result<Metadata, CorpusError> {
        let (name, reader) = open_file(path.as_ref())?;
        Metadata::parse(&name, reader, ids, passages)
    }

    /// Reads JSON lines from `reader`; `name` stands for it in messages.
    ///
    /// A line is an object with the id of a passage as `_id`, each passage has one line, in any order. What else is in the
    /// object is kept, at most [`MAX_METADATA`](crate::MAX_METADATA) bytes and nested no deeper than
    /// [`MAX_METADATA_DEPTH`](crate::MAX_METADATA_DEPTH); the entries of an object named `metadata` become the passage's
    /// own.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line: it is no object, has no id, one that no passage or another line has, or more than
    /// is kept. Or a passage has no line.
    pub fn parse(
        name: &str,
        reader: impl BufRead,
        ids: &dyn DocumentIds,
        passages: usize,
    ) -> Result<Metadata, CorpusError> {
        // Of each passage its line, from 1, and where its object stands among those that were read.
        let mut lines_of = vec![0u32; passages];
        let mut read = PackedStrings::default();
        let mut lines = Lines::new(name, reader);
        while let Some(line) = lines.next()? {
            let of_line = of_line(line, ids, passages);
            let number = lines.number();
            let of_line = of_line.and_then(|(pid, id, text)| {
                let first_line = u64::from(lines_of[pid]);
                if first_line > 0 {
                    return Err(LineProblem::DuplicateId {
                        field: "the id",
                        id,
                        first_line,
                    });
                }
                // There are no more lines than passages, whose number is one.
                lines_of[pid] = u32::try_from(number).unwrap_or(u32::MAX);
                read.push(&[&text]);
                Ok(())
            });
            of_line.map_err(|problem| lines.error(problem))?;
        }
        let missing = lines_of.iter().filter(|line| **line == 0).count();
        if let Some(pid) = lines_of.iter().position(|line| *line == 0) {
            return Err(CorpusError::NoMetadata {
                file: name.to_owned(),
                id: quoted(&ids.external_id(pid as u32)),
                missing,
                passages,
            });
        }
        let mut metadata = Metadata::default();
        for line in lines_of {
            metadata.push(read.get(line as usize - 1).unwrap_or_default());
        }
        Ok(metadata)
    }

    /// Gives the next passage its object; an empty text if it has none.
    pub(crate) fn push(&mut self, object: &str) {
        self.some += usize::from(!object.is_empty());
        self.objects.push(&[object]);
    }

    /// The object of passage `pid`; `None` where it has no fields.
    pub fn get(&self, pid: usize) -> Option<&str> {
        self.objects.get(pid).filter(|object| !object.is_empty())
    }

    /// How many passages it is of.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether no passage has a field.
    pub fn is_empty(&self) -> bool {
        self.some == 0
    }
}

/// The objects of passages in their order, in the form in which they are kept; `None` or an empty text for a passage that
/// has none.
impl<'a> FromIterator<Option<&'a str>> for Metadata {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(objects: I) -> Metadata {
        let mut metadata = Metadata::default();
        for object in objects {
            metadata.push(object.unwrap_or_default());
        }
        metadata
    }
}

/// The passage that a line is of, its id, and its object.
fn of_line(
    line: &str,
    ids: &dyn DocumentIds,
    passages: usize,
) -> Result<(usize, String, String), LineProblem> {
    let fields = json_fields::object(line, &["_id"])?;
    let id = fields.id("_id")?;
    let pid = ids.pid_of(&id).map(|pid| pid as usize);
    let pid = pid.filter(|pid| *pid < passages);
    let pid = pid.ok_or_else(|| LineProblem::UnknownDocument { id: quoted(&id) })?;
    let kept = kept(line, &["_id"])?;
    match kept.left_out {
        Some((field, why)) => Err(LineProblem::Metadata { field, why }),
        None => Ok((pid, quoted(&id), kept.text)),
    }
}
