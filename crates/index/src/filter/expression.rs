//! What a filter says.

use std::fmt;

use crate::passages::{Comparable, Kind};

/// The most bytes of an expression.
pub const MAX_EXPRESSION: usize = 64 << 10;

/// How deep parentheses and `NOT`s may lie inside each other.
pub const MAX_DEPTH: usize = 64;

/// The most values behind `IN`.
pub const MAX_LIST: usize = 1000;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// What is true of known values where this is not.
    pub(super) fn opposite(self) -> Comparison {
        match self {
            Comparison::Equal => Comparison::NotEqual,
            Comparison::NotEqual => Comparison::Equal,
            Comparison::Less => Comparison::GreaterOrEqual,
            Comparison::LessOrEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual => Comparison::Less,
        }
    }

    /// The same with its sides exchanged.
    pub(super) fn turned(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    pub(super) fn is_of_equality(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

/// A value in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Boolean(bool),
    Integer(i64),
    /// Finite.
    Real(f64),
    Text(String),
}

impl Literal {
    pub fn kind(&self) -> Kind {
        match self {
            Literal::Boolean(_) => Kind::Boolean,
            Literal::Integer(_) | Literal::Real(_) => Kind::Number,
            Literal::Text(_) => Kind::String,
        }
    }

    pub(super) fn comparable(&self) -> Comparable {
        match self {
            Literal::Boolean(value) => Comparable::Integer((*value).into()),
            Literal::Integer(value) => Comparable::Integer(*value),
            Literal::Real(value) => Comparable::Real(*value),
            Literal::Text(text) => Comparable::Text(text.clone()),
        }
    }
}

/// What is asked of the value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Compare(Comparison, Literal),
    /// At least the first, at most the second.
    Between(Literal, Literal),
    In(Vec<Literal>),
    /// A pattern in which `%` stands for any text and `_` for any character.
    Like(String),
    IsNull,
}

/// A tree of conditions.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Of two or more.
    And(Vec<Expression>),
    /// Of two or more.
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Is {
        field: String,
        condition: Condition,
    },
}

/// Words that mean something, and so no field unless they are in quotes.
pub(super) const KEYWORDS: [&str; 10] = [
    "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE",
];

/// Whether a character can begin the name of a field without quotes, or be inside of one.
pub(super) fn is_of_a_name(character: char, first: bool) -> bool {
    character == '_' || character.is_alphabetic() || !first && character.is_numeric()
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Boolean(true) => f.write_str("TRUE"),
            Literal::Boolean(false) => f.write_str("FALSE"),
            Literal::Integer(value) => write!(f, "{value}"),
            // With a point or an exponent, so that it is none of the integers.
            Literal::Real(value) => write!(f, "{value:?}"),
            Literal::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// The name of a field, in quotes where it needs them.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let mut characters = name.chars().enumerate();
        let plain = !name.is_empty() && characters.all(|(at, c)| is_of_a_name(c, at == 0));
        let keyword = KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
        match plain && !keyword {
            true => f.write_str(name),
            false => write!(f, "\"{}\"", name.replace('"', "\"\"")),
        }
    }
}

impl fmt::Display for Expression {
    /// As an expression that is read as the same tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Expression], word: &str| {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    write!(f, " {word} ")?;
                }
                part.inside(f)?;
            }
            Ok(())
        };
        match self {
            Expression::And(parts) => joined(f, parts, "AND"),
            Expression::Or(parts) => joined(f, parts, "OR"),
            Expression::Not(part) => {
                f.write_str("NOT ")?;
                part.inside(f)
            }
            Expression::Is { field, condition } => {
                let field = Name(field);
                match condition {
                    Condition::Compare(how, value) => {
                        write!(f, "{field} {} {value}", how.symbol())
                    }
                    Condition::Between(low, high) => write!(f, "{field} BETWEEN {low} AND {high}"),
                    Condition::In(values) => {
                        let values: Vec<String> = values.iter().map(Literal::to_string).collect();
                        write!(f, "{field} IN ({})", values.join(", "))
                    }
                    Condition::Like(pattern) => {
                        write!(f, "{field} LIKE {}", Literal::Text(pattern.clone()))
                    }
                    Condition::IsNull => write!(f, "{field} IS NULL"),
                }
            }
        }
    }
}

impl Expression {
    /// The field that is named first.
    pub fn first_field(&self) -> &str {
        match self {
            Expression::And(parts) | Expression::Or(parts) => {
                parts.first().map_or("", Expression::first_field)
            }
            Expression::Not(part) => part.first_field(),
            Expression::Is { field, .. } => field,
        }
    }

    fn inside(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::And(_) | Expression::Or(_) => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        }
    }
}
