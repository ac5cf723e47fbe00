//! The tables of a passage database that hold metadata: the objects themselves, and beside them every value that can be
//! compared, sorted by field and value, so that a comparison reads one range of one table.

use std::collections::BTreeMap;

use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql};

use super::fields::{Comparable, Field, Kind, values_of};
use super::table::PassageTable;

/// The layout of these tables. A row of `fields` is a name and a kind.
pub(super) const LAYOUT: [&str; 3] = [
    "CREATE TABLE metadata (pid INTEGER PRIMARY KEY, object TEXT NOT NULL)",
    "CREATE TABLE fields (field INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL, \
     passages INTEGER NOT NULL)",
    "CREATE TABLE field_values (field INTEGER NOT NULL, value NOT NULL, pid INTEGER NOT NULL, \
     PRIMARY KEY (field, value, pid)) WITHOUT ROWID",
];

impl ToSql for Comparable {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Comparable::Integer(value) => ToSqlOutput::Owned(SqlValue::Integer(*value)),
            Comparable::Real(value) => ToSqlOutput::Owned(SqlValue::Real(*value)),
            Comparable::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn code_of(kind: Kind) -> i64 {
    match kind {
        Kind::Boolean => 0,
        Kind::Number => 1,
        Kind::String => 2,
        Kind::Structure => 3,
    }
}

/// Writes the metadata of a table. Values are sorted by SQLite, in files where they are many, and put in behind each
/// other: what is written depends on the table alone, and not on the order in which it came about.
pub(super) fn write(connection: &Connection, table: &PassageTable) -> rusqlite::Result<()> {
    LAYOUT
        .iter()
        .try_for_each(|statement| connection.execute_batch(statement))?;
    connection.execute_batch("CREATE TEMP TABLE unsorted (field INTEGER, value, pid INTEGER)")?;
    // In the order of names and kinds, which is that of their numbers in the end.
    let mut fields: BTreeMap<(String, Kind), (i64, i64)> = BTreeMap::new();
    {
        let mut insert = connection.prepare("INSERT INTO metadata VALUES (?1, ?2)")?;
        let mut note = connection.prepare("INSERT INTO temp.unsorted VALUES (?1, ?2, ?3)")?;
        for (pid, passage) in table.passages().iter().enumerate() {
            let Some(object) = &passage.metadata else {
                continue;
            };
            insert.execute((pid as i64, object.as_ref()))?;
            let values = values_of(object).map_err(not_an_object)?;
            for (name, kind, value) in values {
                let next = fields.len() as i64;
                let field = fields.entry((name, kind)).or_insert((next, 0));
                field.1 += 1;
                note.execute((field.0, value, pid as i64))?;
            }
        }
    }
    connection
        .execute_batch("CREATE TEMP TABLE numbers (seen INTEGER PRIMARY KEY, field INTEGER)")?;
    {
        let mut insert = connection.prepare("INSERT INTO fields VALUES (?1, ?2, ?3, ?4)")?;
        let mut number = connection.prepare("INSERT INTO temp.numbers VALUES (?1, ?2)")?;
        for (field, ((name, kind), (seen, passages))) in fields.iter().enumerate() {
            let field = field as i64;
            insert.execute((field, name, code_of(*kind), passages))?;
            number.execute((seen, field))?;
        }
    }
    connection.execute_batch(
        "INSERT INTO field_values SELECT numbers.field, value, pid FROM temp.unsorted \
         CROSS JOIN temp.numbers ON seen = unsorted.field ORDER BY numbers.field, value, pid",
    )
}

/// That the text in the place of an object is none.
fn not_an_object(what: String) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(what.into())
}

/// The fields of a database that has metadata, and the numbers of their kinds.
pub(super) fn fields(connection: &Connection) -> rusqlite::Result<(Vec<Field>, FieldNumbers)> {
    let mut query =
        connection.prepare("SELECT field, name, kind, passages FROM fields ORDER BY field")?;
    let mut rows = query.query([])?;
    let (mut fields, mut numbers) = (Vec::<Field>::new(), FieldNumbers::default());
    while let Some(row) = rows.next()? {
        let (name, code): (String, i64) = (row.get(1)?, row.get(2)?);
        let kind = Kind::ALL.into_iter().find(|kind| code_of(*kind) == code);
        let kind = kind.ok_or(rusqlite::Error::IntegralValueOutOfRange(2, code))?;
        let passages = row.get::<_, i64>(3)?.unsigned_abs();
        numbers.0.insert((name.clone(), kind), row.get(0)?);
        match fields.last_mut().filter(|last| last.name == name) {
            Some(last) => last.kinds.push((kind, passages)),
            None => fields.push(Field {
                name,
                kinds: vec![(kind, passages)],
            }),
        }
    }
    Ok((fields, numbers))
}

/// By which number a kind of a field stands in `field_values`.
#[derive(Debug, Default)]
pub(super) struct FieldNumbers(BTreeMap<(String, Kind), i64>);

impl FieldNumbers {
    /// `None` where no passage has a value of this kind.
    pub(super) fn of(&self, name: &str, kind: Kind) -> Option<i64> {
        self.0.get(&(name.to_owned(), kind)).copied()
    }
}

/// The object of a passage.
pub(super) fn object(connection: &Connection, pid: u32) -> rusqlite::Result<Option<String>> {
    let mut query = connection.prepare("SELECT object FROM metadata WHERE pid = ?1")?;
    query.query_row([pid], |row| row.get(0)).optional()
}

/// All objects, by pid.
pub(super) fn objects(connection: &Connection) -> rusqlite::Result<Vec<(i64, Box<str>)>> {
    let mut query = connection.prepare("SELECT pid, object FROM metadata ORDER BY pid")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?.into())))?;
    rows.collect()
}
