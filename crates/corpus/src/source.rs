//! What a file is by its first bytes; unpacking it if that is gzip.
//!
//! The name of a file decides which format its lines have, its bytes decide how they are packed: a file that a
//! browser unpacked on the way keeps its `.gz`, and one that was packed in place has none.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{CorpusError, GzipProblem, NotText};

/// As many bytes as it takes to know a tar archive.
const PREFIX: usize = 262;

/// What gzip may always unpack to, and how many times its own size beyond that. Text is packed to a third or a
/// tenth; what was made to fill memory, to a thousandth.
const GZIP_FREE: u64 = 24 << 20;
const GZIP_RATIO: u64 = 16;

/// Opens `path` for buffered reading and gives the name that stands for it in messages.
pub(crate) fn open_file(path: &Path) -> Result<(String, BufReader<File>), CorpusError> {
    let failed = |source| CorpusError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    // A folder opens without complaint on Unix and fails at the first read, as "line 1".
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok((
        path.display().to_string(),
        BufReader::with_capacity(1 << 16, file),
    ))
}

/// The extension that says which format a file has: that before `.gz`, if it ends so.
pub(crate) fn format_extension(path: &Path) -> Option<String> {
    let text = |path: &Path| path.extension().map(|e| e.to_string_lossy().into_owned());
    match text(path) {
        Some(gz) if gz.eq_ignore_ascii_case("gz") => text(Path::new(path.file_stem()?)),
        other => other,
    }
}

/// The bytes of a text file, unpacked.
pub(crate) enum Source<R> {
    Plain(Peeked<R>),
    Gzip(Box<Peeked<BufReader<Gzip<R>>>>),
}

/// A stream and what was read of it to see what it is.
type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

impl<R: BufRead> Source<R> {
    /// Looks at the first bytes of `reader`.
    ///
    /// # Errors
    /// As those of a reader: that reading fails, or, as [`NotText`], that this is something else than text.
    pub(crate) fn of(reader: R) -> io::Result<Source<R>> {
        let (peeked, kind) = peek(reader)?;
        match kind {
            Kind::Text => Ok(Source::Plain(peeked)),
            Kind::NotText(what) => Err(io::Error::other(what)),
            Kind::Gzip => {
                let unpacked = BufReader::with_capacity(1 << 16, Gzip::new(peeked));
                let (peeked, kind) = peek(unpacked)?;
                match kind {
                    Kind::Text => Ok(Source::Gzip(Box::new(peeked))),
                    Kind::NotText(what) => Err(io::Error::other(NotText::Packed(Box::new(what)))),
                    Kind::Gzip => Err(io::Error::other(NotText::Packed(Box::new(NotText::Gzip)))),
                }
            }
        }
    }
}

/// The error of `file`, of which `line` was being read.
pub(crate) fn read_error(file: &str, line: u64, source: io::Error) -> CorpusError {
    let file = file.to_owned();
    let inner = source.get_ref();
    if let Some(what) = inner.and_then(|inner| inner.downcast_ref::<NotText>()) {
        let what = what.clone();
        return CorpusError::NotText { file, what };
    }
    if let Some(problem) = inner.and_then(|inner| inner.downcast_ref::<GzipProblem>()) {
        let problem = problem.clone();
        return CorpusError::Gzip {
            file,
            line,
            problem,
        };
    }
    CorpusError::Read { file, line, source }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Plain(reader) => reader.read(buffer),
            Source::Gzip(reader) => reader.read(buffer),
        }
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Source::Plain(reader) => reader.fill_buf(),
            Source::Gzip(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Source::Plain(reader) => reader.consume(amount),
            Source::Gzip(reader) => reader.consume(amount),
        }
    }
}

enum Kind {
    Text,
    Gzip,
    NotText(NotText),
}

fn peek<R: BufRead>(mut reader: R) -> io::Result<(Peeked<R>, Kind)> {
    let mut prefix = Vec::with_capacity(PREFIX);
    (&mut reader).take(PREFIX as u64).read_to_end(&mut prefix)?;
    let kind = kind(&prefix);
    Ok((Cursor::new(prefix).chain(reader), kind))
}

/// What a file is that begins with `prefix`.
fn kind(prefix: &[u8]) -> Kind {
    let begins = |magic: &[u8]| prefix.starts_with(magic);
    let not_text = match prefix {
        _ if begins(&[0x1f, 0x8b]) => return Kind::Gzip,
        _ if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => NotText::Zip,
        _ if begins(&[0x28, 0xb5, 0x2f, 0xfd]) => NotText::Zstandard,
        _ if begins(&[0xfd, b'7', b'z', b'X', b'Z', 0]) => NotText::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..] => NotText::Bzip2,
        _ if begins(&[0xff, 0xfe, 0, 0]) || begins(&[0, 0, 0xfe, 0xff]) => NotText::Utf32,
        _ if begins(&[0xff, 0xfe]) || begins(&[0xfe, 0xff]) => NotText::Utf16,
        // Without a mark. Every format here begins with an ASCII character.
        [0, 1..=127, 0, 1..=127, ..] | [1..=127, 0, 1..=127, 0, ..] => NotText::Utf16,
        _ if begins(b"PAR1") => NotText::Parquet,
        _ if begins(b"ARROW1\0") => NotText::Arrow,
        _ if begins(b"SQLite format 3\0") => NotText::Sqlite,
        _ if begins(b"version https://git-lfs.github.com/spec/") => NotText::LfsPointer,
        _ if prefix.get(257..262) == Some(b"ustar") => NotText::Tar,
        _ if is_web_page(prefix) => NotText::WebPage,
        _ => return Kind::Text,
    };
    Kind::NotText(not_text)
}

/// What is saved of a download that needed a login.
fn is_web_page(prefix: &[u8]) -> bool {
    let text = prefix.trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"].iter().any(|tag| {
        let start = text.get(..tag.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(tag))
    })
}

/// Unpacks the members of a gzip stream, one after the other.
pub(crate) struct Gzip<R> {
    decoder: MultiGzDecoder<Counted<Peeked<R>>>,
    unpacked: u64,
}

impl<R: BufRead> Gzip<R> {
    fn new(packed: Peeked<R>) -> Gzip<R> {
        Gzip {
            decoder: MultiGzDecoder::new(Counted {
                reader: packed,
                count: 0,
            }),
            unpacked: 0,
        }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer).map_err(|error| {
            let problem = match error.kind() {
                io::ErrorKind::UnexpectedEof => GzipProblem::Truncated,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    GzipProblem::Corrupt(error.to_string())
                }
                _ => return error,
            };
            io::Error::new(error.kind(), problem)
        })?;
        self.unpacked += read as u64;
        let packed = self.decoder.get_ref().count;
        if self.unpacked > GZIP_FREE + GZIP_RATIO * packed {
            return Err(io::Error::other(GzipProblem::Expands {
                packed,
                unpacked: self.unpacked,
            }));
        }
        Ok(read)
    }
}

/// Counts the bytes that were taken.
struct Counted<R> {
    reader: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.reader.consume(amount);
    }
}
