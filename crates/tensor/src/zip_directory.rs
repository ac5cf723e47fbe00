//! The directory of a ZIP archive: which entries it has and where their bytes lie.
//!
//! PyTorch and NumPy store entries uncompressed so that they can be mapped into memory, and so they can
//! be read here by position. Structures are those of PKWARE's APPNOTE 6.3.10, sections 4.3 and
//! 4.5.3. CRCs are not compared: like `torch.load`, which ignores them, this reader accepts files
//! written with `torch.serialization.set_crc32_options(False)`, whose CRCs are wrong on purpose.

use crate::container::Container;
use crate::file_error::FileError;
use crate::pt::problem::PtProblem;
use crate::sniff::something_else;

const END: [u8; 4] = *b"PK\x05\x06";
const END64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const END64: [u8; 4] = *b"PK\x06\x06";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

const END_LEN: usize = 22;
const END64_LOCATOR_LEN: u64 = 20;
const END64_LEN: u64 = 56;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: u64 = 30;
const MAX_COMMENT: u64 = 0xffff;

/// The ZIP number of entries that are stored as they are.
pub(crate) const STORED: u16 = 0;

/// What the first bytes of a file are that PyTorch wrote before 1.6, or with
/// `_use_new_zipfile_serialization=False`: a protocol 2 pickle of the ten-byte integer
/// 0x1950a86a20f9469cfc6c.
const LEGACY_MAGIC: [u8; 14] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// An entry as the directory has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Byte at which the entry's local header begins.
    header: u64,
    size: u64,
    stored: u64,
    /// The ZIP number of the compression method.
    pub(crate) method: u16,
    encrypted: bool,
}

/// Where the bytes of an entry lie in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) size: u64,
}

/// Gives each entry of an archive to `take`, in the order of its directory.
pub(crate) fn entries(
    container: &Container,
    mut take: impl FnMut(String, Entry) -> Result<(), PtProblem>,
) -> Result<(), FileError> {
    let directory = Directory::find(container)?;
    let bytes = container.bytes_at(directory.start, directory.size, "the archive's directory")?;
    let mut rest = Fields {
        bytes: &bytes,
        at: 0,
    };
    for _ in 0..directory.entries {
        let at = directory.start + rest.at as u64;
        central_entry(&mut rest)
            .ok_or(PtProblem::DamagedDirectory { at })
            .and_then(|parsed| parsed)
            .and_then(|(name, entry)| take(name, entry))
            .map_err(|problem| container.error(problem))?;
    }
    Ok(())
}

impl Entry {
    /// Refuses what is not stored as it is.
    pub(crate) fn check(&self, name: &str) -> Result<(), PtProblem> {
        let Entry {
            size,
            stored,
            method,
            ..
        } = *self;
        let entry = || name.to_owned();
        if method != STORED {
            return Err(PtProblem::CompressedEntry {
                entry: entry(),
                method,
            });
        }
        if self.encrypted {
            return Err(PtProblem::EncryptedEntry { entry: entry() });
        }
        if size != stored {
            let entry = entry();
            return Err(PtProblem::EntrySizesDiffer {
                entry,
                size,
                stored,
            });
        }
        Ok(())
    }

    /// Where its bytes lie.
    pub(crate) fn extent(&self, container: &Container, name: &str) -> Result<Extent, FileError> {
        let &Entry { header, size, .. } = self;
        let what = format!("the header of entry {name:?}");
        let bytes = container.bytes_at(header, LOCAL_LEN, &what)?;
        let fields = Fields {
            bytes: &bytes,
            at: 0,
        };
        if bytes[..4] != LOCAL {
            let entry = name.to_owned();
            let at = header;
            return Err(container.error(PtProblem::DamagedEntryHeader { entry, at }));
        }
        let start =
            header + LOCAL_LEN + u64::from(fields.u16_at(26)) + u64::from(fields.u16_at(28));
        container.check(start, size, &format!("entry {name:?}"))?;
        Ok(Extent { start, size })
    }
}

/// Where the central directory lies.
struct Directory {
    start: u64,
    size: u64,
    entries: u64,
}

impl Directory {
    fn find(container: &Container) -> Result<Directory, FileError> {
        let len = container.len();
        let tail_len = len.min(END_LEN as u64 + MAX_COMMENT);
        let tail_start = len - tail_len;
        let tail = container.bytes_at(tail_start, tail_len, "the end of the archive")?;
        let Some(at) = end_record(&tail) else {
            return Err(not_an_archive(container)?);
        };
        let end = Fields {
            bytes: &tail[at..],
            at: 0,
        };
        let end_at = tail_start + at as u64;
        let damaged = |at| container.error(PtProblem::DamagedDirectory { at });

        let (disk, entries, size, start) = match Directory::find64(container, end_at)? {
            Some((at, record)) => {
                let fields = Fields {
                    bytes: &record,
                    at: 0,
                };
                if record[..4] != END64 {
                    return Err(damaged(at));
                }
                (
                    fields.u32_at(16),
                    fields.u64_at(32),
                    fields.u64_at(40),
                    fields.u64_at(48),
                )
            }
            None => (
                u32::from(end.u16_at(4)),
                u64::from(end.u16_at(10)),
                u64::from(end.u32_at(12)),
                u64::from(end.u32_at(16)),
            ),
        };
        if disk != 0 {
            return Err(container.error(PtProblem::SplitArchive));
        }
        if start.checked_add(size).is_none_or(|end| end > end_at) {
            return Err(damaged(end_at));
        }
        // Each entry takes a record, so a damaged count cannot ask for more than the file holds.
        if entries > size / CENTRAL_LEN as u64 {
            return Err(damaged(start));
        }
        Ok(Directory {
            start,
            size,
            entries,
        })
    }

    /// The ZIP64 end record and its position, if the archive has one.
    fn find64(container: &Container, end_at: u64) -> Result<Option<(u64, Vec<u8>)>, FileError> {
        let Some(locator_at) = end_at.checked_sub(END64_LOCATOR_LEN) else {
            return Ok(None);
        };
        let what = "the archive's end record";
        let locator = container.bytes_at(locator_at, END64_LOCATOR_LEN, what)?;
        if locator[..4] != END64_LOCATOR {
            return Ok(None);
        }
        let at = Fields {
            bytes: &locator,
            at: 0,
        }
        .u64_at(8);
        Ok(Some((at, container.bytes_at(at, END64_LEN, what)?)))
    }
}

/// The last end record in the tail of a file whose comment reaches to the file's end.
fn end_record(tail: &[u8]) -> Option<usize> {
    (0..=tail.len().checked_sub(END_LEN)?).rev().find(|&at| {
        let record = &tail[at..];
        record[..4] == END
            && record.len()
                == END_LEN
                    + usize::from(
                        Fields {
                            bytes: record,
                            at: 0,
                        }
                        .u16_at(20),
                    )
    })
}

/// Says what a file without an end record is.
fn not_an_archive(container: &Container) -> Result<FileError, FileError> {
    if let Some(found) = something_else(container)? {
        return Ok(container.error(found));
    }
    let len = container.len().min(LEGACY_MAGIC.len() as u64);
    let head = container.bytes_at(0, len, "the beginning of the file")?;
    Ok(container.error(if head == LEGACY_MAGIC {
        PtProblem::LegacyFormat
    } else if head.starts_with(&LOCAL) {
        PtProblem::TruncatedArchive {
            len: container.len(),
        }
    } else {
        PtProblem::NotAnArchive
    }))
}

/// The next record of the central directory: nothing if it is cut short or is no record.
fn central_entry(fields: &mut Fields<'_>) -> Option<Result<(String, Entry), PtProblem>> {
    let record = Fields {
        bytes: fields.take(CENTRAL_LEN)?,
        at: 0,
    };
    if record.bytes[..4] != CENTRAL {
        return None;
    }
    let name = fields.take(record.u16_at(28).into())?;
    let extra = fields.take(record.u16_at(30).into())?;
    fields.take(record.u16_at(32).into())?;
    let Ok(entry) = String::from_utf8(name.to_vec()) else {
        let entry = String::from_utf8_lossy(name).into_owned();
        return Some(Err(PtProblem::EntryNameNotUtf8 { entry }));
    };
    let mut large = Fields {
        bytes: zip64_field(extra),
        at: 0,
    };
    let mut widened = |short: u32| match short {
        u32::MAX => large.take(8).map(|bytes| Fields { bytes, at: 0 }.u64_at(0)),
        short => Some(u64::from(short)),
    };
    // The extended field holds only those numbers that do not fit, in this order.
    let size = widened(record.u32_at(24))?;
    let stored = widened(record.u32_at(20))?;
    let header = widened(record.u32_at(42))?;
    let described = Entry {
        header,
        size,
        stored,
        method: record.u16_at(10),
        encrypted: record.u16_at(8) & 1 != 0,
    };
    Some(Ok((entry, described)))
}

/// The contents of the ZIP64 extended information among an entry's extra fields.
fn zip64_field(extra: &[u8]) -> &[u8] {
    let mut fields = Fields {
        bytes: extra,
        at: 0,
    };
    while let Some(head) = fields.take(4) {
        let head = Fields { bytes: head, at: 0 };
        let Some(body) = fields.take(head.u16_at(2).into()) else {
            break;
        };
        if head.u16_at(0) == 1 {
            return body;
        }
    }
    &[]
}

/// Little-endian fields of a record.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(taken)
    }

    fn array_at<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        array
    }

    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array_at(at))
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array_at(at))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array_at(at))
    }
}
