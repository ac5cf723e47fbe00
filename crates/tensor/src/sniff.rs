//! What a file is that is none of tensors, by its first bytes.

use crate::container::Container;
use crate::file_error::{FileError, FileProblem};

/// How a file begins, and what is wrong with one that does.
type Beginning = (&'static [u8], fn() -> FileProblem);

/// Beginnings of files that are something else than their names say.
const BEGINNINGS: [Beginning; 8] = [
    (b"version https://git-lfs", || FileProblem::LfsPointer),
    (b"\x1f\x8b", || compressed("gzip", "gunzip")),
    (b"BZh", || compressed("bzip2", "bunzip2")),
    (b"\xfd7zXZ\0", || compressed("xz", "unxz")),
    (b"\x28\xb5\x2f\xfd", || compressed("zstd", "unzstd")),
    (b"<!DOCTYPE html", || FileProblem::HtmlPage),
    (b"<!doctype html", || FileProblem::HtmlPage),
    (b"<html", || FileProblem::HtmlPage),
];

fn compressed(with: &'static str, command: &'static str) -> FileProblem {
    FileProblem::Compressed { with, command }
}

/// What the file is instead of one of tensors, if that can be told from its beginning.
///
/// For the messages of a reader that has found that the file is not of its format, so that no file that it can
/// read is ever refused.
pub(crate) fn something_else(container: &Container) -> Result<Option<FileProblem>, FileError> {
    if container.len() == 0 {
        return Ok(Some(FileProblem::Empty));
    }
    let len = container.len().min(32);
    let head = container.bytes_at(0, len, "the beginning of the file")?;
    let found = BEGINNINGS.iter().find(|(start, _)| head.starts_with(start));
    Ok(found.map(|(_, problem)| problem()))
}
