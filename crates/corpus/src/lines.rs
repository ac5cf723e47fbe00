//! Lines of a UTF-8 text file, read one at a time into one buffer.

use std::io::{self, BufRead, Read};

use crate::error::{CorpusError, LineProblem};
use crate::source::{Source, read_error};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The most bytes of a line. ColBERT cuts a passage after some hundred tokens; JSON holds all results of a query.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// A stream of lines that knows its name and where it stands. What is packed by gzip is unpacked.
pub(crate) struct Lines<R> {
    file: String,
    reader: Reader<R>,
    buffer: Vec<u8>,
    number: u64,
}

enum Reader<R> {
    /// Nothing was read yet, so it is not known what this is.
    Unseen(Option<R>),
    Text(Source<R>),
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(file: impl Into<String>, reader: R) -> Self {
        Lines {
            file: file.into(),
            reader: Reader::Unseen(Some(reader)),
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The next line without its line end (`\n` or `\r\n`), or `None` after the last one.
    ///
    /// # Errors
    /// [`CorpusError::Empty`] if there is no line at all; [`CorpusError::NotText`] if this is something else;
    /// [`CorpusError::Read`] and [`CorpusError::Gzip`]; and as [`LineProblem`]s text that is not UTF-8, a byte order
    /// mark, a carriage return inside a line, and a line of more than [`MAX_LINE`] bytes.
    pub(crate) fn next(&mut self) -> Result<Option<&str>, CorpusError> {
        let read = self.read_line();
        let read = read.map_err(|source| read_error(&self.file, self.number + 1, source))?;
        if read == 0 {
            return match self.number {
                0 => Err(CorpusError::Empty {
                    file: self.file.clone(),
                }),
                _ => Ok(None),
            };
        }
        self.number += 1;
        match line_text(&self.buffer, self.number == 1) {
            Ok(text) => Ok(Some(text)),
            Err(problem) => Err(problem.at(&self.file, self.number)),
        }
    }

    /// Reads a line, or the beginning of one that is too long, into the buffer.
    fn read_line(&mut self) -> io::Result<usize> {
        if let Reader::Unseen(reader) = &mut self.reader {
            let Some(reader) = reader.take() else {
                return Ok(0);
            };
            self.reader = Reader::Text(Source::of(reader)?);
        }
        let Reader::Text(text) = &mut self.reader else {
            return Ok(0);
        };
        self.buffer.clear();
        // One byte more than a line may have, with its end.
        let mut line = text.take(MAX_LINE as u64 + 3);
        line.read_until(b'\n', &mut self.buffer)
    }

    /// The number of the line that was read last, counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Places `problem` at the line that was read last.
    pub(crate) fn error(&self, problem: LineProblem) -> CorpusError {
        problem.at(&self.file, self.number)
    }
}

fn line_text(bytes: &[u8], is_first: bool) -> Result<&str, LineProblem> {
    if is_first && bytes.starts_with(BYTE_ORDER_MARK) {
        return Err(LineProblem::ByteOrderMark);
    }
    if bytes.len() > MAX_LINE + 2 {
        return Err(LineProblem::TooLong { limit: MAX_LINE });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| LineProblem::InvalidUtf8 {
        byte: error.valid_up_to(),
    })?;
    // The last line may lack its line feed and still end in a carriage return.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.find('\r') {
        Some(byte) => Err(LineProblem::BareCarriageReturn { byte }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<String>, CorpusError> {
        let mut lines = Lines::new("f", bytes);
        let mut out = Vec::new();
        while let Some(line) = lines.next()? {
            out.push(line.to_owned());
        }
        Ok(out)
    }

    #[test]
    fn both_line_ends_are_taken_off_and_the_last_may_lack_one() {
        assert_eq!(all(b"a\r\nb\nc").unwrap(), ["a", "b", "c"]);
        assert_eq!(all(b"a\n\n").unwrap(), ["a", ""]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_reported_with_line_and_offset() {
        let error = all(b"fine\nab\xffc\n").unwrap_err().to_string();
        assert!(error.starts_with("f:2: byte 2 of the line"), "{error}");
    }

    #[test]
    fn a_carriage_return_inside_a_line_is_refused() {
        for text in [&b"a\rb\n"[..], b"a\r\r\n"] {
            let error = all(text).unwrap_err().to_string();
            assert!(error.contains("carriage return"), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_refused_and_an_empty_file_too() {
        assert!(matches!(
            all(b"\xef\xbb\xbf0\ta\n").unwrap_err(),
            CorpusError::Line {
                line: 1,
                problem: LineProblem::ByteOrderMark,
                ..
            }
        ));
        assert!(matches!(all(b"").unwrap_err(), CorpusError::Empty { .. }));
    }
}
