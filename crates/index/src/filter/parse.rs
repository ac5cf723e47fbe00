//! Reading expressions.

use super::error::{Misread, ParseError};
use super::expression::{
    Comparison, Condition, Expression, Literal, MAX_DEPTH, MAX_EXPRESSION, MAX_LIST,
};
use super::words::{Word, words_of};

/// Reads an expression.
///
/// ```text
/// any   = all { OR all }
/// all   = one { AND one }
/// one   = NOT one | ( any ) | field comparison value | value comparison field
///       | field [ NOT ] IN ( value { , value } ) | field [ NOT ] BETWEEN value AND value
///       | field [ NOT ] LIKE text | field IS [ NOT ] NULL
/// ```
///
/// A comparison is one of `= != <> < <= > >=`, a value a number, a text in single quotes, `TRUE` or `FALSE`, a field a
/// name of letters, digits and `_`, or any name in double quotes. A quote inside of quotes is written twice. Words such
/// as `AND` are read in any case.
///
/// # Errors
/// [`ParseError`], with the character.
pub fn parse(text: &str) -> Result<Expression, ParseError> {
    if text.len() > MAX_EXPRESSION {
        let what = Misread::Long(text.len());
        return Err(ParseError { at: 1, what });
    }
    let words = words_of(text)?;
    if words.is_empty() {
        let what = Misread::Empty;
        return Err(ParseError { at: 1, what });
    }
    let mut reader = Reader {
        end: text.chars().count() + 1,
        words,
        next: 0,
    };
    let expression = reader.any(0)?;
    match reader.peek() {
        None => Ok(expression),
        Some(_) => Err(reader.expected("AND, OR or the end")),
    }
}

struct Reader {
    words: Vec<(usize, Word)>,
    next: usize,
    /// The character behind the last.
    end: usize,
}

type Read<T> = Result<T, ParseError>;

impl Reader {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.next).map(|(_, word)| word)
    }

    /// Takes the next word if it is this one.
    fn takes(&mut self, word: &Word) -> bool {
        let taken = self.peek() == Some(word);
        self.next += usize::from(taken);
        taken
    }

    fn needs(&mut self, word: &Word, expected: &'static str) -> Read<()> {
        match self.takes(word) {
            true => Ok(()),
            false => Err(self.expected(expected)),
        }
    }

    /// What is wrong with the next word.
    fn wrong(&self, what: Misread) -> ParseError {
        let at = self.words.get(self.next).map_or(self.end, |(at, _)| *at);
        ParseError { at, what }
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Word::Key(key)) => (*key).to_owned(),
            Some(Word::Name(name)) => {
                format!("the field {:?}", name.chars().take(40).collect::<String>())
            }
            Some(Word::Value(Literal::Text(_))) => "a text".to_owned(),
            Some(Word::Value(value)) => value.to_string(),
            Some(Word::Compare(how)) => how.symbol().to_owned(),
            Some(Word::Open) => "(".to_owned(),
            Some(Word::Close) => ")".to_owned(),
            Some(Word::Comma) => "a comma".to_owned(),
        };
        self.wrong(Misread::Expected { expected, found })
    }

    fn any(&mut self, depth: usize) -> Read<Expression> {
        self.joined("OR", Expression::Or, |reader| reader.all(depth))
    }

    fn all(&mut self, depth: usize) -> Read<Expression> {
        self.joined("AND", Expression::And, |reader| reader.one(depth))
    }

    fn joined(
        &mut self,
        word: &'static str,
        join: fn(Vec<Expression>) -> Expression,
        part: impl Fn(&mut Reader) -> Read<Expression>,
    ) -> Read<Expression> {
        let first = part(self)?;
        if self.peek() != Some(&Word::Key(word)) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.takes(&Word::Key(word)) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn one(&mut self, depth: usize) -> Read<Expression> {
        if depth >= MAX_DEPTH && matches!(self.peek(), Some(Word::Open | Word::Key("NOT"))) {
            return Err(self.wrong(Misread::Deep));
        }
        if self.takes(&Word::Key("NOT")) {
            return Ok(not(self.one(depth + 1)?));
        }
        if self.takes(&Word::Open) {
            let inside = self.any(depth + 1)?;
            self.needs(&Word::Close, "AND, OR or )")?;
            return Ok(inside);
        }
        match self.peek().cloned() {
            Some(Word::Name(field)) => {
                self.next += 1;
                self.condition(field)
            }
            Some(Word::Value(_) | Word::Key("TRUE" | "FALSE" | "NULL")) => self.turned(),
            _ => Err(self.expected("a field, NOT or (")),
        }
    }

    /// A comparison with the value before the field.
    fn turned(&mut self) -> Read<Expression> {
        let value = self.value()?;
        let how = self.comparison("a comparison")?;
        match self.peek().cloned() {
            Some(Word::Name(field)) => {
                self.next += 1;
                let condition = Condition::Compare(how.turned(), value);
                Ok(Expression::Is { field, condition })
            }
            _ => Err(self.expected("a field")),
        }
    }

    fn comparison(&mut self, expected: &'static str) -> Read<Comparison> {
        match self.peek() {
            Some(Word::Compare(how)) => {
                let how = *how;
                self.next += 1;
                Ok(how)
            }
            _ => Err(self.expected(expected)),
        }
    }

    /// What is asked of a field.
    fn condition(&mut self, field: String) -> Read<Expression> {
        if self.takes(&Word::Key("IS")) {
            let negated = self.takes(&Word::Key("NOT"));
            self.needs(&Word::Key("NULL"), "NULL or NOT NULL")?;
            return Ok(asked(field, Condition::IsNull, negated));
        }
        let negated = self.takes(&Word::Key("NOT"));
        let condition = if self.takes(&Word::Key("IN")) {
            self.list()?
        } else if self.takes(&Word::Key("BETWEEN")) {
            let low = self.value()?;
            self.needs(&Word::Key("AND"), "AND")?;
            let high = self.value_like(&low)?;
            Condition::Between(low, high)
        } else if self.takes(&Word::Key("LIKE")) {
            match self.peek().cloned() {
                Some(Word::Value(Literal::Text(pattern))) => {
                    self.next += 1;
                    Condition::Like(pattern)
                }
                _ => return Err(self.expected("a text in single quotes")),
            }
        } else if negated {
            return Err(self.expected("IN, BETWEEN or LIKE"));
        } else {
            let how = self.comparison("a comparison, IN, BETWEEN, LIKE or IS")?;
            Condition::Compare(how, self.value()?)
        };
        Ok(asked(field, condition, negated))
    }

    fn list(&mut self) -> Read<Condition> {
        self.needs(&Word::Open, "(")?;
        let mut values = vec![self.value()?];
        while self.takes(&Word::Comma) {
            if values.len() == MAX_LIST {
                return Err(self.wrong(Misread::List));
            }
            values.push(self.value_like(&values[0])?);
        }
        self.needs(&Word::Close, "a comma or )")?;
        Ok(Condition::In(values))
    }

    fn value(&mut self) -> Read<Literal> {
        let value = match self.peek() {
            Some(Word::Value(value)) => value.clone(),
            Some(Word::Key("TRUE")) => Literal::Boolean(true),
            Some(Word::Key("FALSE")) => Literal::Boolean(false),
            Some(Word::Key("NULL")) => return Err(self.wrong(Misread::Null)),
            _ => return Err(self.expected("a number, a text in single quotes, TRUE or FALSE")),
        };
        self.next += 1;
        Ok(value)
    }

    /// A value of the same kind.
    fn value_like(&mut self, other: &Literal) -> Read<Literal> {
        let at = self.next;
        let value = self.value()?;
        if value.kind() == other.kind() {
            return Ok(value);
        }
        self.next = at;
        Err(self.wrong(Misread::Kinds(other.kind(), value.kind())))
    }
}

fn not(expression: Expression) -> Expression {
    Expression::Not(Box::new(expression))
}

fn asked(field: String, condition: Condition, negated: bool) -> Expression {
    let is = Expression::Is { field, condition };
    match negated {
        true => not(is),
        false => is,
    }
}
