//! Files of an index that stay on disk while it is searched: mapped, so that what is read of them is in memory once for
//! all processes that search the index.
//!
//! Whoever writes an index puts whole files in place of others by a rename, which leaves what is mapped as it was. A file
//! that somebody else writes into is another one under the eyes of those who mapped it; one that somebody else cuts
//! off ends a process that reads behind its new end (`SIGBUS`).

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use concord_tensor::{BitHash, TensorSource};
use memmap2::Mmap;

use super::finding::Finding;
use super::manifest::FileRecord;

/// A file that is mapped, and what its bytes have to be.
#[derive(Debug)]
pub(super) struct MappedFile {
    /// Nothing where the index has no manifest.
    pub(super) record: Option<FileRecord>,
    map: Mmap,
}

impl MappedFile {
    pub(super) fn of(file: &File, record: Option<FileRecord>) -> io::Result<MappedFile> {
        // SAFETY: the map is only read, and read as bytes and numbers that may be any. Nothing of this program writes
        // into a file of an index that has its name: writers replace files by renames. Against others who do, nothing
        // helps that a reader could do; what then happens stands at the head of this file.
        let map = unsafe { Mmap::map(file) }?;
        Ok(MappedFile { record, map })
    }

    /// How many bytes were mapped.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The bytes, read now.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.map.to_vec()
    }

    /// What is wrong with the bytes, which all are read; nothing where nobody recorded them.
    pub(super) fn finding(&self) -> Option<Finding> {
        let record = self.record.as_ref()?;
        let found = FileRecord {
            name: record.name.clone(),
            bytes: self.len(),
            hash: BitHash::of_bytes(&self.map),
        };
        Finding::between(record, &found)
    }
}

/// Numbers as they lie in a mapped file, or in memory where the file has them in another order.
pub(crate) enum Values<T> {
    Mapped(MappedValues<T>),
    Owned(Vec<T>),
}

/// Numbers of a mapped file.
pub(crate) struct MappedValues<T> {
    file: Arc<MappedFile>,
    /// Bytes of the file that are aligned and as many as numbers have.
    place: Range<usize>,
    numbers: PhantomData<T>,
}

impl<T: Pod> Values<T> {
    /// The values of a tensor of this file, whose dtype is the one of `T`, where they lie; `None` where they have to be
    /// read.
    pub(super) fn in_place(file: &Arc<MappedFile>, source: &TensorSource) -> Option<Values<T>> {
        if cfg!(target_endian = "big") {
            return None;
        }
        let place = source.place()?;
        let place = usize::try_from(place.start).ok()?..usize::try_from(place.end).ok()?;
        bytemuck::try_cast_slice::<u8, T>(file.map.get(place.clone())?).ok()?;
        Some(Values::Mapped(MappedValues {
            file: Arc::clone(file),
            place,
            numbers: PhantomData,
        }))
    }
}

impl<T: Pod> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Values::Mapped(values) => bytemuck::cast_slice(&values.file.map[values.place.clone()]),
            Values::Owned(values) => values,
        }
    }
}
