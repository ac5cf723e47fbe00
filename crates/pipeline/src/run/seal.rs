//! The hashes of a run's files, in a file of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use concord_tensor::BitHash;

use crate::hex::hex;
use crate::run::error::{RunError, unreadable};

/// The name of the file with the hashes of the others. `sha256sum --check` reads it too.
pub(crate) const SEAL: &str = "SHA256SUMS";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const EVENTS: &str = "events.jsonl";

/// SHA-256 of each file of a run that is no blob; blobs have theirs as names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) events: BitHash,
    pub(crate) manifest: BitHash,
}

impl Seal {
    /// The bytes of the file, of which there is one form only, so that no flipped byte goes unseen.
    pub(crate) fn text(&self) -> String {
        let Seal { events, manifest } = *self;
        format!("{}  {EVENTS}\n{}  {MANIFEST}\n", hex(events), hex(manifest))
    }

    /// The seal of the run in `folder`; `None` for a run that was recorded before there were any.
    ///
    /// # Errors
    /// When it cannot be read, or is not of its form.
    pub(crate) fn read(folder: &Path) -> Result<Option<Seal>, RunError> {
        let path = folder.join(SEAL);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path)(error)),
        };
        // A byte more than there can be, and no more, whatever the file is.
        let longest = 1 + parsed_len();
        let mut text = String::new();
        let damaged = || RunError::Damaged {
            path: path.clone(),
            what: format!("it is not the hashes of {EVENTS} and {MANIFEST}"),
        };
        match file.take(longest).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged()),
            Err(error) => return Err(unreadable(&path)(error)),
        }
        let mut hashes = text.lines().map(|line| {
            let digits = line.get(..64)?;
            format!("sha256:{digits}").parse::<BitHash>().ok()
        });
        let (Some(Some(events)), Some(Some(manifest))) = (hashes.next(), hashes.next()) else {
            return Err(damaged());
        };
        let seal = Seal { events, manifest };
        if seal.text() == text {
            Ok(Some(seal))
        } else {
            Err(damaged())
        }
    }
}

fn parsed_len() -> u64 {
    let line = |name: &str| 64 + 2 + name.len() + 1;
    (line(EVENTS) + line(MANIFEST)) as u64
}
