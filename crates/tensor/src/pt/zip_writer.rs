//! Writes the ZIP archive of a PyTorch file, byte by byte as PyTorch 1.13 does.
//!
//! Structures are those of PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3. The choices that it
//! leaves open are PyTorch's: no times, no attributes and a version of 0 in the entries; sizes and
//! CRC behind the data, so that writing never goes back; ZIP64 end records always; and in front of
//! each entry's data an extra field `FB` of `Z`s as long as makes the data begin at a multiple of
//! 64.

use std::io::{self, Write};

/// The alignment of every entry's data in the file.
const ALIGNMENT: u64 = 64;

/// Bit 3: sizes and CRC follow the data. Bit 11: names are UTF-8.
const SIZES_FOLLOW: u16 = 1 << 3;
const NAMES_ARE_UTF8: u16 = 1 << 11;

/// Numbers from here on stand in the ZIP64 extra field.
const TOO_LARGE: u64 = u32::MAX as u64;

/// An archive being written, front to back.
#[derive(Debug)]
pub(crate) struct ZipWriter<W> {
    out: W,
    at: u64,
    folder: String,
    finished: Vec<Record>,
    current: Option<Record>,
}

/// What the central directory will say of an entry.
#[derive(Debug)]
struct Record {
    name: String,
    header: u64,
    size: u64,
    written: u64,
    crc: crc32fast::Hasher,
}

impl Record {
    fn flags(&self) -> u16 {
        if self.size > 0 {
            NAMES_ARE_UTF8 | SIZES_FOLLOW
        } else {
            NAMES_ARE_UTF8
        }
    }

    /// The ZIP64 extra field, empty if every number is small.
    ///
    /// `stored` is the size in the archive. It equals the size, but in front of the data PyTorch
    /// has 0 for it, the size after compression not being known there.
    fn large_numbers(&self, stored: u64) -> Vec<u8> {
        let mut numbers = Vec::new();
        if self.size >= TOO_LARGE {
            numbers.extend(self.size.to_le_bytes());
            numbers.extend(stored.to_le_bytes());
        }
        if self.header >= TOO_LARGE {
            numbers.extend(self.header.to_le_bytes());
        }
        if numbers.is_empty() {
            return numbers;
        }
        let mut field = vec![1, 0, numbers.len() as u8, 0];
        field.append(&mut numbers);
        field
    }
}

impl<W: Write> ZipWriter<W> {
    /// An archive whose entries are in `folder`.
    pub(crate) fn new(out: W, folder: &str) -> ZipWriter<W> {
        let folder = folder.to_owned();
        ZipWriter {
            out,
            at: 0,
            folder,
            finished: Vec::new(),
            current: None,
        }
    }

    /// Writes a whole entry.
    pub(crate) fn entry(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.begin(name, data.len() as u64)?;
        self.data(data)?;
        self.end()
    }

    /// Begins an entry of exactly `size` bytes.
    pub(crate) fn begin(&mut self, name: &str, size: u64) -> io::Result<()> {
        let record = Record {
            name: format!("{}/{name}", self.folder),
            header: self.at,
            size,
            written: 0,
            crc: crc32fast::Hasher::new(),
        };
        let large = record.large_numbers(0);
        let data_at = self.at + (30 + record.name.len() + large.len() + 4) as u64;
        let padding = data_at.next_multiple_of(ALIGNMENT) - data_at;

        let mut bytes = b"PK\x03\x04\0\0".to_vec();
        bytes.extend(record.flags().to_le_bytes());
        bytes.extend([0; 18]); // method, time and date; CRC and sizes, which follow the data
        bytes.extend((record.name.len() as u16).to_le_bytes());
        bytes.extend((large.len() as u16 + 4 + padding as u16).to_le_bytes());
        bytes.extend(record.name.as_bytes());
        bytes.extend(large);
        bytes.extend(b"FB");
        bytes.extend((padding as u16).to_le_bytes());
        bytes.resize(bytes.len() + padding as usize, b'Z');
        self.current = Some(record);
        self.put(&bytes)
    }

    /// Writes the next bytes of the entry begun.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(record) = &mut self.current {
            record.crc.update(bytes);
            record.written += bytes.len() as u64;
        }
        self.put(bytes)
    }

    /// How many bytes the entry begun was announced to have, and how many it has so far.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.current
            .as_ref()
            .map_or((0, 0), |record| (record.size, record.written))
    }

    /// Ends the entry begun, of which all bytes were written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let Some(record) = self.current.take() else {
            return Ok(());
        };
        debug_assert_eq!(record.size, record.written);
        let mut bytes = Vec::new();
        if record.size > 0 {
            bytes.extend(b"PK\x07\x08");
            bytes.extend(record.crc.clone().finalize().to_le_bytes());
            for size in [record.size; 2] {
                if record.large_numbers(0).is_empty() {
                    bytes.extend((size as u32).to_le_bytes());
                } else {
                    bytes.extend(size.to_le_bytes());
                }
            }
        }
        self.finished.push(record);
        self.put(&bytes)
    }

    /// Writes the central directory and gives back what was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let start = self.at;
        for record in std::mem::take(&mut self.finished) {
            let large = record.large_numbers(record.size);
            let mut bytes = b"PK\x01\x02\0\0\0\0".to_vec();
            bytes.extend(record.flags().to_le_bytes());
            bytes.extend([0; 6]); // method, time, date
            bytes.extend(record.crc.clone().finalize().to_le_bytes());
            bytes.extend(short(record.size).to_le_bytes());
            bytes.extend(short(record.size).to_le_bytes());
            bytes.extend((record.name.len() as u16).to_le_bytes());
            bytes.extend((large.len() as u16).to_le_bytes());
            bytes.extend([0; 10]); // comment length, disk, attributes
            bytes.extend(short(record.header).to_le_bytes());
            bytes.extend(record.name.as_bytes());
            bytes.extend(large);
            self.finished.push(record);
            self.put(&bytes)?;
        }
        let entries = self.finished.len() as u64;
        let size = self.at - start;
        let end = self.at;

        let mut bytes = b"PK\x06\x06".to_vec();
        bytes.extend(44_u64.to_le_bytes()); // what follows of this record
        bytes.extend([0x1e, 3, 45, 0]); // made by version 3.0 on Unix, for version 4.5
        bytes.extend([0; 8]); // disks
        for number in [entries, entries, size, start] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(end.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes()); // disks in all
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        let entries = entries.min(u16::MAX.into()) as u16;
        bytes.extend(entries.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        bytes.extend(short(size).to_le_bytes());
        bytes.extend(short(start).to_le_bytes());
        bytes.extend([0; 2]); // comment length
        self.put(&bytes)?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A number in a field of 32 bits, all ones standing for "see the ZIP64 field".
fn short(number: u64) -> u32 {
    number.min(TOO_LARGE) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size: u64, header: u64) -> Record {
        let crc = crc32fast::Hasher::new();
        Record {
            name: String::new(),
            header,
            size,
            written: size,
            crc,
        }
    }

    #[test]
    fn only_numbers_beyond_32_bits_are_in_the_extra_field() {
        let large = 5_u64 << 32;
        let words = |numbers: &[u64]| {
            let body: Vec<u8> = numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            [&[1, 0, body.len() as u8, 0][..], &body].concat()
        };
        assert!(record(1, TOO_LARGE - 1).large_numbers(1).is_empty());
        assert_eq!(record(large, 7).large_numbers(0), words(&[large, 0]));
        assert_eq!(
            record(large, 7).large_numbers(large),
            words(&[large, large])
        );
        assert_eq!(record(3, large).large_numbers(3), words(&[large]));
        assert_eq!(
            record(TOO_LARGE, large).large_numbers(0),
            words(&[TOO_LARGE, 0, large])
        );
    }

    #[test]
    fn data_begins_at_multiples_of_64() {
        for len in 1..100 {
            let folder = "f".repeat(len);
            let mut zip = ZipWriter::new(Vec::new(), &folder);
            for name in ["a", "bb"] {
                zip.begin(name, 3).unwrap();
                assert_eq!(zip.at % ALIGNMENT, 0);
                zip.data(&[1, 2, 3]).unwrap();
                zip.end().unwrap();
            }
        }
    }
}
