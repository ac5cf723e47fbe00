//! Finding the passages of which an expression is true.

use rusqlite::{Connection, ToSql};

use super::error::{FilterError, cut};
use super::expression::{Comparison, Condition, Expression, Literal};
use super::like::is_like;
use crate::passages::{Comparable, Kind, PassageDb};
use crate::search::PassageSet;

/// The statements. Whoever they are asked for, they are these; what differs is bound to them.
const THERE: &str = "SELECT pid FROM passages WHERE deleted = 0";
const KNOWN: &str = "SELECT pid FROM field_values WHERE field = ?1";
const TEXTS: &str = "SELECT pid, value FROM field_values WHERE field = ?1";
const BETWEEN: &str = "SELECT pid FROM field_values WHERE field = ?1 AND value BETWEEN ?2 AND ?3";

fn statement(how: Comparison) -> &'static str {
    match how {
        Comparison::Equal => "SELECT pid FROM field_values WHERE field = ?1 AND value = ?2",
        Comparison::NotEqual => "SELECT pid FROM field_values WHERE field = ?1 AND value <> ?2",
        Comparison::Less => "SELECT pid FROM field_values WHERE field = ?1 AND value < ?2",
        Comparison::LessOrEqual => "SELECT pid FROM field_values WHERE field = ?1 AND value <= ?2",
        Comparison::Greater => "SELECT pid FROM field_values WHERE field = ?1 AND value > ?2",
        Comparison::GreaterOrEqual => {
            "SELECT pid FROM field_values WHERE field = ?1 AND value >= ?2"
        }
    }
}

/// The passages of `table` of which `expression` is true, none of them a deleted one.
///
/// Numbers are compared as numbers, whether they are whole or not, texts by their bytes. What a passage does not have, or
/// has with a value of another kind, is unknown of it, as NULL is in SQL.
///
/// # Errors
/// [`FilterError`]: a field that no passage has, or one that has no value of the kind that it is compared with; and when
/// the table cannot be read.
pub fn select(table: &PassageDb, expression: &Expression) -> Result<PassageSet, FilterError> {
    check(table, expression)?;
    Ok(table.read(|connection| {
        let found = Search { table, connection };
        found.passages(expression, true)
    })?)
}

/// Refuses conditions that no value can be compared by, wherever in the expression they are.
fn check(table: &PassageDb, expression: &Expression) -> Result<(), FilterError> {
    let (name, condition) = match expression {
        Expression::And(parts) | Expression::Or(parts) => {
            return parts.iter().try_for_each(|part| check(table, part));
        }
        Expression::Not(part) => return check(table, part),
        Expression::Is { field, condition } => (field, condition),
    };
    let mut fields = table.fields().iter();
    let field = fields.find(|field| field.name == *name);
    let field = field.ok_or_else(|| FilterError::unknown(name, table.fields()))?;
    let (value, of_equality) = match condition {
        Condition::IsNull => return Ok(()),
        Condition::Compare(how, value) => (value.clone(), how.is_of_equality()),
        Condition::In(values) => match values.first() {
            Some(value) => (value.clone(), true),
            None => return Ok(()),
        },
        Condition::Between(low, _) => (low.clone(), false),
        Condition::Like(pattern) => (Literal::Text(pattern.clone()), true),
    };
    let kind = value.kind();
    if !field.has(kind) {
        let field = cut(name);
        let kinds = table.fields().iter().find(|field| field.name == *name);
        let kinds = kinds
            .map(crate::passages::Field::kinds_in_words)
            .unwrap_or_default();
        return Err(match kinds == Kind::Structure.name() {
            true => FilterError::Structure(field),
            false => FilterError::Kind {
                field,
                kinds,
                value: cut(&value.to_string()),
                kind,
            },
        });
    }
    match kind == Kind::Boolean && !of_equality {
        true => Err(FilterError::Boolean(cut(name))),
        false => Ok(()),
    }
}

struct Search<'a> {
    table: &'a PassageDb,
    connection: &'a Connection,
}

type Found = rusqlite::Result<PassageSet>;

impl Search<'_> {
    /// The passages of which an expression is true, or of which it is false. Of the others it is unknown.
    fn passages(&self, expression: &Expression, truth: bool) -> Found {
        match expression {
            Expression::Not(part) => self.passages(part, !truth),
            Expression::And(parts) => self.joined(parts, truth, truth),
            Expression::Or(parts) => self.joined(parts, !truth, truth),
            Expression::Is { field, condition } => self.condition(field, condition, truth),
        }
    }

    /// The passages that all parts have, or that any has.
    fn joined(&self, parts: &[Expression], all: bool, truth: bool) -> Found {
        let mut parts = parts.iter().map(|part| self.passages(part, truth));
        let first = parts.next().unwrap_or_else(|| Ok(self.none()))?;
        parts.try_fold(first, |mut found, part| {
            match all {
                true => found.keep(&part?),
                false => found.add(&part?),
            }
            Ok(found)
        })
    }

    fn condition(&self, field: &str, condition: &Condition, truth: bool) -> Found {
        let number = |kind: Kind| self.table.field_number(field, kind);
        match condition {
            Condition::Compare(how, value) => {
                let how = if truth { *how } else { how.opposite() };
                let number = number(value.kind());
                self.rows(statement(how), number, &[&value.comparable()])
            }
            Condition::Between(low, high) => {
                let (number, low, high) = (number(low.kind()), low.comparable(), high.comparable());
                if truth {
                    return self.rows(BETWEEN, number, &[&low, &high]);
                }
                let mut below = self.rows(statement(Comparison::Less), number, &[&low])?;
                below.add(&self.rows(statement(Comparison::Greater), number, &[&high])?);
                Ok(below)
            }
            Condition::In(values) => {
                let mut found = self.none();
                for value in values {
                    let number = number(value.kind());
                    let equal = statement(Comparison::Equal);
                    found.add(&self.rows(equal, number, &[&value.comparable()])?);
                }
                let kind = values.first().map_or(Kind::String, Literal::kind);
                self.where_known(found, number(kind), truth)
            }
            Condition::Like(pattern) => {
                let number = number(Kind::String);
                let found = self.like(number, pattern)?;
                self.where_known(found, number, truth)
            }
            Condition::IsNull => {
                let mut known = self.none();
                for kind in Kind::ALL {
                    known.add(&self.rows(KNOWN, number(kind), &[])?);
                }
                if !truth {
                    return Ok(known);
                }
                let mut there = self.set(THERE, &[])?;
                there.remove(&known);
                Ok(there)
            }
        }
    }

    /// These passages, or the others that have a value.
    fn where_known(&self, found: PassageSet, number: Option<i64>, truth: bool) -> Found {
        if truth {
            return Ok(found);
        }
        let mut known = self.rows(KNOWN, number, &[])?;
        known.remove(&found);
        Ok(known)
    }

    fn like(&self, number: Option<i64>, pattern: &str) -> Found {
        let pattern: Vec<char> = pattern.chars().collect();
        let mut query = self.connection.prepare(TEXTS)?;
        let mut rows = query.query([number])?;
        let mut pids = Vec::new();
        while let Some(row) = rows.next()? {
            if is_like(row.get_ref(1)?.as_str()?, &pattern) {
                pids.push(row.get(0)?);
            }
        }
        self.of(pids)
    }

    /// What a statement finds among the values of a field.
    fn rows(&self, statement: &str, number: Option<i64>, values: &[&Comparable]) -> Found {
        let Some(number) = number else {
            return Ok(self.none());
        };
        let mut bound: Vec<&dyn ToSql> = vec![&number];
        bound.extend(values.iter().map(|value| *value as &dyn ToSql));
        self.set(statement, &bound)
    }

    fn set(&self, statement: &str, bound: &[&dyn ToSql]) -> Found {
        let mut query = self.connection.prepare(statement)?;
        let pids = query.query_map(bound, |row| row.get(0))?;
        self.of(pids.collect::<rusqlite::Result<_>>()?)
    }

    fn of(&self, pids: Vec<u32>) -> Found {
        let set = PassageSet::of(pids, self.table.passages());
        set.map_err(|unknown| rusqlite::Error::IntegralValueOutOfRange(0, unknown.pid.into()))
    }

    fn none(&self) -> PassageSet {
        PassageSet::none(self.table.passages())
    }
}
