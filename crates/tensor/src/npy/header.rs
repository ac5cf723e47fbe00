//! The header of an `.npy` file: the text of a Python dict.

use std::fmt;

use super::problem::NpyProblem;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type of the elements in NumPy's notation.
    pub(super) descr: String,
    /// Whether they are in column-major order.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.fortran_order { "True" } else { "False" };
        write!(
            f,
            "{{'descr': '{}', 'fortran_order': {order}, 'shape': (",
            self.descr
        )?;
        for (axis, size) in self.shape.iter().enumerate() {
            let comma = if axis > 0 { ", " } else { "" };
            write!(f, "{comma}{size}")?;
        }
        // Python's spelling of a tuple of one.
        let comma = if self.shape.len() == 1 { "," } else { "" };
        write!(f, "{comma}), }}")
    }
}

impl Header {
    /// Parses a header. Its keys may come in any order, each once.
    pub(super) fn parse(text: &[u8]) -> Result<Header, NpyProblem> {
        let mut text = Text { text, at: 0 };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        text.expect(b'{', "the \"{\" of a dict")?;
        while !text.accept(b'}') {
            let at = text.at;
            let key = text.quoted("a quoted key or the dict's end")?;
            text.expect(b':', "a \":\"")?;
            let repeated = match key {
                "descr" => descr.replace(text.descr()?.to_owned()).is_some(),
                "fortran_order" => fortran_order.replace(text.truth()?).is_some(),
                "shape" => shape.replace(text.shape()?).is_some(),
                _ => true,
            };
            if repeated {
                let expected = "one each of the keys \"descr\", \"fortran_order\" and \"shape\"";
                return Err(NpyProblem::InvalidHeader { at, expected });
            }
            if !text.accept(b',') {
                text.expect(b'}', "a \",\" or the dict's end")?;
                break;
            }
        }
        text.skip_space();
        if text.at < text.text.len() {
            return Err(text.wrong("nothing after the dict"));
        }
        let descr = descr.ok_or_else(|| text.wrong("a key \"descr\" in the dict"))?;
        let fortran_order =
            fortran_order.ok_or_else(|| text.wrong("a key \"fortran_order\" in the dict"))?;
        let shape = shape.ok_or_else(|| text.wrong("a key \"shape\" in the dict"))?;
        Ok(Header {
            descr,
            fortran_order,
            shape,
        })
    }
}

/// The text of a header, and how much of it is parsed.
struct Text<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    fn wrong(&self, expected: &'static str) -> NpyProblem {
        NpyProblem::InvalidHeader {
            at: self.at,
            expected,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), NpyProblem> {
        if self.accept(byte) {
            Ok(())
        } else {
            Err(self.wrong(expected))
        }
    }

    /// A quoted text. Neither the keys nor the types known here have escapes in them.
    fn quoted(&mut self, expected: &'static str) -> Result<&'a str, NpyProblem> {
        self.skip_space();
        let wrong = self.wrong(expected);
        let (quote, rest) = match self.text[self.at..].split_first() {
            Some((&quote @ (b'\'' | b'"'), rest)) => (quote, rest),
            _ => return Err(wrong),
        };
        let len = rest.iter().position(|&byte| byte == quote);
        let inner = len
            .and_then(|len| str::from_utf8(&rest[..len]).ok())
            .ok_or(wrong)?;
        self.at += inner.len() + 2;
        Ok(inner)
    }

    fn descr(&mut self) -> Result<&'a str, NpyProblem> {
        self.skip_space();
        if self.peek() == Some(b'[') {
            return self.fields();
        }
        self.quoted("the quoted type of the elements")
    }

    /// The list of fields that is the type of a record, as it stands there.
    fn fields(&mut self) -> Result<&'a str, NpyProblem> {
        let wrong = self.wrong("the list of a record's fields");
        let rest = &self.text[self.at..];
        let (mut open, mut quote) = (0usize, None);
        for (place, &byte) in rest.iter().enumerate() {
            match (quote, byte) {
                (Some(mark), _) if byte == mark => quote = None,
                (Some(_), _) => {}
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[' | b'(') => open += 1,
                (None, b']' | b')') => open = open.saturating_sub(1),
                (None, _) => {}
            }
            if open == 0 {
                self.at += place + 1;
                return str::from_utf8(&rest[..=place]).map_err(|_| wrong);
            }
        }
        Err(wrong)
    }

    fn truth(&mut self) -> Result<bool, NpyProblem> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let (word, value) = match rest {
            [b'T', ..] => ("True", true),
            _ => ("False", false),
        };
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.wrong("True or False"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn shape(&mut self) -> Result<Vec<usize>, NpyProblem> {
        self.expect(b'(', "the \"(\" of a tuple of sizes")?;
        let mut shape = Vec::new();
        while !self.accept(b')') {
            shape.push(self.number()?);
            if !self.accept(b',') {
                self.expect(b')', "a \",\" or the tuple's end")?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, NpyProblem> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = str::from_utf8(&rest[..len])
            .ok()
            .and_then(|digits| digits.parse().ok());
        let number = number.ok_or_else(|| self.wrong("a size that fits 64 bits"))?;
        self.at += len;
        // Python 2 wrote sizes as long integers: 3L.
        if self.peek() == Some(b'L') {
            self.at += 1;
        }
        Ok(number)
    }
}
