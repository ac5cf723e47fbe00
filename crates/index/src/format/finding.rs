//! What is wrong with a file of an index.

use std::fmt;
use std::io;

use concord_tensor::OpenFolder;
use serde::Serialize;

use super::manifest::FileRecord;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Finding {
    /// It is not there.
    Missing { file: String },
    /// It is shorter or longer than it was.
    Size {
        file: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// It has the right size and other bytes.
    Altered { file: String },
    /// It is there and cannot be read; `error` is what the system said.
    Unreadable { file: String, error: String },
    /// It is there and the manifest does not know it.
    Unknown { file: String },
    /// It is as it was written, and what was written is infinite or NaN.
    NotFinite {
        file: String,
        /// The artifact.
        tensor: String,
        /// The value, as text: JSON has no such numbers.
        value: String,
        /// Its index in each dimension.
        at: Vec<usize>,
    },
}

impl Finding {
    /// What is wrong with a file that the manifest knows, if anything is.
    pub fn of(folder: &OpenFolder, record: &FileRecord) -> Option<Finding> {
        let file = record.name.clone();
        match FileRecord::of(folder, &record.name) {
            Ok(now) => Finding::between(record, &now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(Finding::Missing { file })
            }
            Err(error) => Some(Finding::Unreadable {
                file,
                error: error.to_string(),
            }),
        }
    }

    /// In what a file that was found is not the one that the manifest knows.
    pub(super) fn between(record: &FileRecord, now: &FileRecord) -> Option<Finding> {
        let file = record.name.clone();
        if now == record {
            None
        } else if now.bytes != record.bytes {
            Some(Finding::Size {
                file,
                expected: record.bytes,
                found: now.bytes,
            })
        } else {
            Some(Finding::Altered { file })
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Missing { file } => write!(f, "{file} is missing"),
            Finding::Size {
                file,
                expected,
                found,
            } => {
                write!(f, "{file} has {found} bytes instead of {expected}")
            }
            Finding::Altered { file } => write!(f, "{file} was altered"),
            Finding::Unreadable { file, error } => write!(f, "{file} cannot be read: {error}"),
            Finding::Unknown { file } => write!(f, "{file} does not belong to the index"),
            Finding::NotFinite {
                file,
                tensor,
                value,
                at,
            } => write!(f, "`{tensor}` in {file} is {value} at {at:?}"),
        }
    }
}
