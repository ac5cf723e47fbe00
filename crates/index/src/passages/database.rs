//! `passages.db`: the table of passages as an SQLite database.
//!
//! The same table gives the same bytes. A database is written once, in one transaction, row after row in the order of
//! pids, with pages of a stated size, and never changed: another table is another file. What decides the bytes beside
//! the rows is the library, which is compiled in; the number of its version, which SQLite notes in the header and
//! ignores, is overwritten.
//!
//! Where no passage has metadata, there are no tables for it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use concord_corpus::{DocumentIds, PlainPids};
use concord_tensor::BitHash;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension, Row};

use super::fields::{Field, Kind};
use super::metadata::{self, FieldNumbers};
use super::table::{PassageRecord, PassageTable};

/// The version of the layout without metadata, and with it. `about` has it.
const VERSIONS: [i64; 2] = [1, 2];

/// The layout. It is compared with what a file has before anything of it is asked, so that a database from elsewhere
/// cannot have views or triggers in place of these tables.
const LAYOUT: [&str; 4] = [
    "CREATE TABLE about (version INTEGER NOT NULL, own_ids INTEGER NOT NULL)",
    "CREATE TABLE passages (pid INTEGER PRIMARY KEY, id TEXT NOT NULL, text_sha256 BLOB, deleted INTEGER NOT NULL)",
    "CREATE TABLE dropped_ids (id TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE UNIQUE INDEX passages_by_id ON passages (id) WHERE deleted = 0",
];

/// The tables that are read.
const TABLES: [&str; 6] = [
    "about",
    "passages",
    "dropped_ids",
    "metadata",
    "fields",
    "field_values",
];

/// What decides the bytes and is not in the layout. The file is nobody's until it is whole, so nothing has to be
/// undone, and what is freed is overwritten by zeros.
const BEFORE: &str = "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                      PRAGMA secure_delete = ON; PRAGMA encoding = 'UTF-8'; PRAGMA auto_vacuum = NONE;";

/// Where in the header the version of the library stands that wrote last, four bytes, and what stands there instead.
const LIBRARY_VERSION_AT: u64 = 96;
const LIBRARY_VERSION: [u8; 4] = 3_000_000u32.to_be_bytes();

/// Why a table of passages cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PassageDbError {
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is no table of passages: {what}", path = path.display())]
    Layout { path: PathBuf, what: String },
}

/// The table of passages in its file, of which rows are read as they are asked for.
pub struct PassageDb {
    path: PathBuf,
    connection: Mutex<Connection>,
    own_ids: bool,
    passages: usize,
    with_metadata: bool,
    fields: Vec<Field>,
    numbers: FieldNumbers,
}

impl PassageDb {
    /// Writes a table as a new file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(path: &Path, table: &PassageTable) -> Result<(), PassageDbError> {
        let sqlite = |source| PassageDbError::Sqlite {
            path: path.to_owned(),
            source,
        };
        write_tables(path, table).map_err(sqlite)?;
        finish(path).map_err(|source| PassageDbError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// Opens the table in a file that nobody changes.
    ///
    /// # Errors
    /// When it is no such table.
    pub fn open(path: &Path) -> Result<PassageDb, PassageDbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(immutable(path), flags);
        let connection = connection.map_err(|source| PassageDbError::Sqlite {
            path: path.to_owned(),
            source,
        })?;
        PassageDb::of(path, connection)
    }

    /// The table that these bytes of the file at `path` are.
    ///
    /// # Errors
    /// When they are no such table.
    pub fn of_bytes(path: &Path, bytes: &[u8]) -> Result<PassageDb, PassageDbError> {
        let connection = Connection::open_in_memory().and_then(|mut connection| {
            connection.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), true)?;
            Ok(connection)
        });
        let connection = connection.map_err(|source| PassageDbError::Sqlite {
            path: path.to_owned(),
            source,
        })?;
        PassageDb::of(path, connection)
    }

    fn of(path: &Path, mut connection: Connection) -> Result<PassageDb, PassageDbError> {
        let sqlite = |source| PassageDbError::Sqlite {
            path: path.to_owned(),
            source,
        };
        let layout = |what: String| PassageDbError::Layout {
            path: path.to_owned(),
            what,
        };
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON;")
            .map_err(sqlite)?;
        let tables = layout_of(&connection).map_err(sqlite)?;
        let layouts = [false, true].map(layout_with);
        let at = layouts.iter().position(|layout| tables == *layout);
        let with_metadata = match at {
            Some(at) => at == 1,
            None => return Err(layout("it has other tables".to_owned())),
        };
        guard(&mut connection).map_err(sqlite)?;
        let about = connection.query_row("SELECT version, own_ids FROM about", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        });
        let (version, own_ids) = about.map_err(sqlite)?;
        let expected = VERSIONS[usize::from(with_metadata)];
        if version != expected {
            return Err(layout(format!(
                "it is of version {version}, not {expected}"
            )));
        }
        let passages = connection
            .query_row("SELECT ifnull(max(pid) + 1, 0) FROM passages", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(sqlite)?;
        let passages = usize::try_from(passages)
            .map_err(|_| layout(format!("it has a passage {}", passages - 1)))?;
        let (fields, numbers) = match with_metadata {
            true => metadata::fields(&connection).map_err(sqlite)?,
            false => Default::default(),
        };
        Ok(PassageDb {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            own_ids,
            passages,
            with_metadata,
            fields,
            numbers,
        })
    }

    /// Whether ids are more than the pids.
    pub fn own_ids(&self) -> bool {
        self.own_ids
    }

    /// How many passages there are, deleted ones included.
    pub fn passages(&self) -> usize {
        self.passages
    }

    /// The fields of the passages' metadata, in the order of their names.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The metadata of a passage, a JSON object in its compact form; `None` where it has no fields, or is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn metadata(&self, pid: u32) -> Result<Option<String>, PassageDbError> {
        match self.with_metadata {
            true => self.read(|connection| metadata::object(connection, pid)),
            false => Ok(None),
        }
    }

    /// By which number the values of a kind stand in `field_values`; `None` where there are none.
    pub(crate) fn field_number(&self, name: &str, kind: Kind) -> Option<i64> {
        self.numbers.of(name, kind)
    }

    /// What `read` finds in the tables.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, PassageDbError> {
        read(&self.connection()).map_err(|source| self.failed(source))
    }

    /// The whole table.
    ///
    /// # Errors
    /// When it cannot be read, or a pid is missing.
    pub fn table(&self) -> Result<PassageTable, PassageDbError> {
        let (rows, dropped) = self.read(read_tables)?;
        let mut objects = match self.with_metadata {
            true => self.read(metadata::objects)?,
            false => Vec::new(),
        }
        .into_iter()
        .peekable();
        let mut passages = Vec::with_capacity(rows.len());
        for (at, (pid, mut record)) in rows.into_iter().enumerate() {
            if usize::try_from(pid) != Ok(at) {
                return Err(PassageDbError::Layout {
                    path: self.path.clone(),
                    what: format!("row {at} is passage {pid}"),
                });
            }
            record.metadata = objects.next_if(|(of, _)| *of == pid).map(|(_, o)| o);
            passages.push(record);
        }
        Ok(PassageTable::new(self.own_ids, passages).with_dropped(dropped))
    }

    fn failed(&self, source: rusqlite::Error) -> PassageDbError {
        PassageDbError::Sqlite {
            path: self.path.clone(),
            source,
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl DocumentIds for PassageDb {
    /// The id of a passage; its pid where the row cannot be read.
    fn external_id(&self, pid: u32) -> Cow<'_, str> {
        if !self.own_ids {
            return PlainPids.external_id(pid);
        }
        let connection = self.connection();
        let id = connection
            .prepare("SELECT id FROM passages WHERE pid = ?1")
            .and_then(|mut query| query.query_row([pid], |row| row.get::<_, String>(0)));
        id.map_or_else(|_| PlainPids.external_id(pid), Cow::Owned)
    }

    fn pid_of(&self, external_id: &str) -> Option<u32> {
        let connection = self.connection();
        let pid = connection
            .prepare("SELECT pid FROM passages WHERE id = ?1 AND deleted = 0")
            .and_then(|mut query| query.query_row([external_id], |row| row.get(0)).optional());
        pid.ok().flatten()
    }
}

fn write_tables(path: &Path, table: &PassageTable) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(BEFORE)?;
    let transaction = connection.transaction()?;
    let (tables, indexes) = LAYOUT.split_at(3);
    for statement in tables {
        transaction.execute_batch(statement)?;
    }
    let has_metadata = table.has_metadata();
    transaction.execute(
        "INSERT INTO about VALUES (?1, ?2)",
        (VERSIONS[usize::from(has_metadata)], table.own_ids()),
    )?;
    {
        let mut insert = transaction.prepare("INSERT INTO passages VALUES (?1, ?2, ?3, ?4)")?;
        for (pid, passage) in table.passages().iter().enumerate() {
            let text = passage.text.as_ref().map(BitHash::as_bytes);
            let text = text.map(|hash| hash.as_slice());
            insert.execute((pid as i64, &passage.id, text, passage.deleted))?;
        }
        let mut insert = transaction.prepare("INSERT INTO dropped_ids VALUES (?1)")?;
        for id in table.dropped() {
            insert.execute([id])?;
        }
    }
    // Behind the rows, so that it is built from them at once.
    for statement in indexes {
        transaction.execute_batch(statement)?;
    }
    if has_metadata {
        metadata::write(&transaction, table)?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// Overwrites the version of the library, and has the file on disk.
fn finish(path: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(LIBRARY_VERSION_AT))?;
    file.write_all(&LIBRARY_VERSION)?;
    file.sync_all()
}

/// The layout, without or with metadata.
fn layout_with(metadata: bool) -> Vec<&'static str> {
    let metadata = metadata.then_some(metadata::LAYOUT);
    LAYOUT
        .into_iter()
        .chain(metadata.into_iter().flatten())
        .collect()
}

/// Lets nothing through any more but reading these tables: whatever a statement says, it makes, changes and attaches
/// nothing.
fn guard(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::Select | AuthAction::Function { .. } => Authorization::Allow,
        AuthAction::Read { table_name, .. } if TABLES.contains(&table_name) => Authorization::Allow,
        _ => Authorization::Deny,
    }))
}

fn layout_of(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // What SQLite makes by itself has no text.
    let mut query = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let statements = query.query_map([], |row| row.get(0))?;
    statements
        .take(LAYOUT.len() + metadata::LAYOUT.len() + 1)
        .collect()
}

type Tables = (Vec<(i64, PassageRecord)>, BTreeSet<String>);

fn read_tables(connection: &Connection) -> rusqlite::Result<Tables> {
    let mut query =
        connection.prepare("SELECT pid, id, text_sha256, deleted FROM passages ORDER BY pid")?;
    let rows = query.query_map([], record)?.collect::<Result<_, _>>()?;
    let mut query = connection.prepare("SELECT id FROM dropped_ids ORDER BY id")?;
    let dropped = query.query_map([], |row| row.get(0))?;
    Ok((rows, dropped.collect::<Result<_, _>>()?))
}

fn record(row: &Row<'_>) -> rusqlite::Result<(i64, PassageRecord)> {
    let text: Option<[u8; 32]> = row.get(2)?;
    let record = PassageRecord {
        id: row.get(1)?,
        text: text.map(BitHash::from),
        deleted: row.get(3)?,
        metadata: None,
    };
    Ok((row.get(0)?, record))
}

/// The address of a file that nobody changes, so that SQLite neither locks it nor looks for a journal.
fn immutable(path: &Path) -> String {
    let mut address = "file:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                address.push(char::from(byte));
            }
            byte => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address + "?mode=ro&immutable=1"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn table(passages: usize) -> PassageTable {
        let record = |pid: usize| PassageRecord {
            id: format!("passage {}", pid * 7919 % passages),
            text: (!pid.is_multiple_of(5)).then(|| BitHash::of_bytes(&pid.to_le_bytes())),
            deleted: false,
            metadata: None,
        };
        let mut table = PassageTable::new(true, (0..passages).map(record).collect());
        table.delete(["passage 1", "passage 2"]).unwrap();
        table.compact(false);
        table.delete(["passage 3"]).unwrap();
        table
    }

    #[test]
    fn a_table_is_read_as_it_was_written_and_has_the_same_bytes_again() {
        let folder = tempfile::tempdir().unwrap();
        for passages in [4, 5000] {
            let paths = ["a #?%.db", "b.db"].map(|name| folder.path().join(name));
            for path in &paths {
                PassageDb::write(path, &table(passages)).unwrap();
            }
            assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
            let opened = PassageDb::open(&paths[0]).unwrap();
            assert_eq!(opened.table().unwrap(), table(passages));
            assert_eq!(opened.external_id(0), "passage 0");
            assert_eq!(opened.pid_of("passage 0"), Some(0));
            assert_eq!(opened.pid_of("passage 3"), None);
            assert_eq!(opened.passages(), passages - 2);
            paths.iter().for_each(|path| fs::remove_file(path).unwrap());
        }
    }

    #[test]
    fn a_view_in_place_of_a_table_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passages.db");
        PassageDb::write(&path, &table(4)).unwrap();
        let connection = Connection::open(&path).unwrap();
        let view = "DROP TABLE dropped_ids; CREATE VIEW dropped_ids AS SELECT 'x' AS id";
        connection.execute_batch(view).unwrap();
        connection.close().unwrap();
        let error = PassageDb::open(&path).err().unwrap();
        assert!(
            error.to_string().ends_with("it has other tables"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passages.db");
        fs::write(&path, b"pid,id\n0,a\n").unwrap();
        assert!(PassageDb::open(&path).is_err());
        assert!(PassageDb::open(&folder.path().join("none")).is_err());
    }

    #[test]
    fn nothing_but_reading_its_tables_is_let_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passages.db");
        let mut table = table(20);
        table.set_metadata(4, "{\"a\":1}");
        PassageDb::write(&path, &table).unwrap();
        let bytes = fs::read(&path).unwrap();
        let other = folder.path().join("other").display().to_string();
        let opened = PassageDb::open(&path).unwrap();
        for db in [opened, PassageDb::of_bytes(&path, &bytes).unwrap()] {
            for statement in [
                "DROP TABLE passages",
                "DELETE FROM metadata",
                "UPDATE passages SET deleted = 1",
                "CREATE TABLE x (y)",
                "CREATE TEMP TABLE x (y)",
                "PRAGMA query_only = OFF",
                "SELECT sql FROM sqlite_schema",
                "BEGIN",
                "VACUUM",
                &format!("ATTACH '{other}' AS x"),
                &format!("VACUUM INTO '{other}'"),
            ] {
                let done = db.read(|connection| connection.execute_batch(statement));
                assert!(done.is_err(), "{statement}");
            }
            assert_eq!(db.table().unwrap(), table);
            assert_eq!(db.metadata(4).unwrap().as_deref(), Some("{\"a\":1}"));
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(!Path::new(&other).exists());
    }
}
