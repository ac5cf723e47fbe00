//! The hashes of a run's files, in a file of their own.

use std::io;
use std::path::Path;

use concord_tensor::{BitHash, read_regular};

use crate::hex::hex;
use crate::run::error::{RunError, unreadable};

/// The name of the file with the hashes of the others. `sha256sum --check` reads it too.
pub(crate) const SEAL: &str = "SHA256SUMS";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const EVENTS: &str = "events.jsonl";

/// The most bytes that are read of it. It has 158.
const LONGEST: u64 = 4096;

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
        let damaged = || RunError::Damaged {
            path: path.clone(),
            what: format!("it is not the hashes of {EVENTS} and {MANIFEST}"),
        };
        let bytes = match read_regular(&path, LONGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path)(error)),
        };
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
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
