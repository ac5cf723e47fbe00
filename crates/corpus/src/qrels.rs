//! Relevance judgements.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use crate::document_ids::DocumentIds;
use crate::error::{CorpusError, LineProblem};
use crate::ids::{check_id, quoted};
use crate::lines::Lines;
use crate::names::{Names, TooManyNames};
use crate::packed_strings::PackedStrings;
use crate::source::open_file;

const FOUR_COLUMNS: &str = "qid 0 document grade";
const THREE_COLUMNS: &str = "qid TAB document TAB grade, as the header says";
/// The header of BEIR's files.
const BEIR_HEADER: [&str; 3] = ["query-id", "corpus-id", "score"];

/// One document's relevance to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// The document's id, as the file writes it.
    pub document: &'a str,
    /// 0 or less: not relevant; above: the more, the more relevant.
    pub grade: i64,
}

/// The judgements of a set of queries, in the order of their file.
#[derive(Debug, Clone, Default)]
pub struct Qrels {
    qids: Names,
    /// Where the judgements of each query end in `order`.
    ends: Vec<u32>,
    /// The rows of the file by query, without repetitions.
    order: Vec<u32>,
    documents: PackedStrings,
    grades: Vec<i64>,
}

/// The grades of one query's judged passages, by pid.
pub type Grades = HashMap<u32, i64>;

impl Qrels {
    /// Reads the judgements in `path`, as [`Qrels::parse`]; its name may be any.
    ///
    /// # Errors
    /// [`CorpusError`]: the file cannot be opened, or a line is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Qrels, CorpusError> {
        let (name, reader) = open_file(path.as_ref())?;
        Qrels::parse(&name, reader)
    }

    /// Reads judgements from `reader`; `name` stands for it in messages.
    ///
    /// A file whose first line is `query-id TAB corpus-id TAB score` is BEIR's and has three
    /// columns that end at tabs. Any other has four that end at white space: qid, a number
    /// without meaning, document, grade (ColBERT, TREC). The same judgement may be given twice.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line; two judgements that contradict each other name both.
    pub fn parse(name: &str, reader: impl BufRead) -> Result<Qrels, CorpusError> {
        let mut builder = Builder::default();
        let mut lines = Lines::new(name, reader);
        let mut columns = four_columns as fn(&str) -> Result<Row<'_>, LineProblem>;
        while let Some(line) = lines.next()? {
            if !builder.has_begun() && line.split('\t').eq(BEIR_HEADER) {
                columns = three_columns;
                builder.header = true;
                continue;
            }
            let pushed = columns(line).and_then(|row| builder.push(&row));
            pushed.map_err(|problem| lines.error(problem))?;
        }
        builder.finish(name)
    }

    /// The number of queries with judgements.
    pub fn len(&self) -> usize {
        self.qids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The judgements of the query `qid`.
    pub fn get(&self, qid: &str) -> Option<impl ExactSizeIterator<Item = Judgement<'_>> + Clone> {
        Some(self.of(self.qids.find(qid)?))
    }

    /// The queries and their judgements, in the order of the file.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (&str, impl ExactSizeIterator<Item = Judgement<'_>> + Clone)>
    {
        let queries = self.qids.iter().enumerate();
        queries.map(|(number, qid)| (qid, self.of(number)))
    }

    /// The grades of the query `qid` by pid, and the number of judged documents that `documents`
    /// does not have. Both are empty for a query without judgements.
    pub fn grades(&self, qid: &str, documents: &(impl DocumentIds + ?Sized)) -> (Grades, usize) {
        let judgements = || self.get(qid).into_iter().flatten();
        let by_pid = |judgement: Judgement<'_>| {
            let pid = documents.pid_of(judgement.document)?;
            Some((pid, judgement.grade))
        };
        let grades: Grades = judgements().filter_map(by_pid).collect();
        let unknown = judgements().count() - grades.len();
        (grades, unknown)
    }

    fn of(&self, number: usize) -> impl ExactSizeIterator<Item = Judgement<'_>> + Clone {
        let start = number.checked_sub(1).map_or(0, |last| self.ends[last]);
        let rows = &self.order[start as usize..self.ends[number] as usize];
        rows.iter().map(|&row| Judgement {
            document: self.documents.get(row as usize).unwrap_or_default(),
            grade: self.grades[row as usize],
        })
    }
}

/// The fields of a line.
struct Row<'a> {
    qid: &'a str,
    document: &'a str,
    grade: i64,
}

fn four_columns(line: &str) -> Result<Row<'_>, LineProblem> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [qid, _, document, grade] => row(qid, document, grade),
        _ => Err(LineProblem::Columns {
            found: fields.len(),
            expected: FOUR_COLUMNS,
        }),
    }
}

fn three_columns(line: &str) -> Result<Row<'_>, LineProblem> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    match fields[..] {
        [qid, document, grade] => row(qid, document, grade),
        _ => Err(LineProblem::Columns {
            found: fields.len(),
            expected: THREE_COLUMNS,
        }),
    }
}

fn row<'a>(qid: &'a str, document: &'a str, grade: &str) -> Result<Row<'a>, LineProblem> {
    check_id("the query id", qid)?;
    check_id("the document id", document)?;
    let grade = grade.parse().map_err(|_| LineProblem::NotAnInteger {
        field: "the grade",
        found: quoted(grade),
    })?;
    Ok(Row {
        qid,
        document,
        grade,
    })
}

/// Judgements while they are read: row by row, each a line.
#[derive(Default)]
struct Builder {
    header: bool,
    qids: Names,
    /// The number of each row's query.
    queries: Vec<u32>,
    documents: PackedStrings,
    grades: Vec<i64>,
}

impl Builder {
    fn has_begun(&self) -> bool {
        self.header || !self.queries.is_empty()
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), LineProblem> {
        let too_many = |limit| LineProblem::TooManyLines { limit };
        if self.queries.len() as u64 >= u64::from(u32::MAX) {
            return Err(too_many(u32::MAX.into()));
        }
        let number = self.qids.number(row.qid);
        let (number, _) = number.map_err(|TooManyNames { limit }| too_many(limit))?;
        self.queries.push(number as u32);
        self.documents.push(&[row.document]);
        self.grades.push(row.grade);
        Ok(())
    }

    /// The judgements by query, in the order of the file.
    ///
    /// Repetitions are sought when all is read: a set of all pairs met so far would outweigh the judgements.
    fn finish(self, name: &str) -> Result<Qrels, CorpusError> {
        let Builder {
            header,
            qids,
            queries,
            documents,
            grades,
        } = self;
        let document = |row: u32| documents.get(row as usize).unwrap_or_default();
        let mut order: Vec<u32> = (0..queries.len() as u32).collect();
        // Rows are distinct, so that no order is left open: of equal pairs the earlier row comes first.
        order.sort_unstable_by(|&a, &b| {
            let query = queries[a as usize].cmp(&queries[b as usize]);
            query
                .then_with(|| document(a).cmp(document(b)))
                .then(a.cmp(&b))
        });
        let same_pair = |a: u32, b: u32| {
            queries[a as usize] == queries[b as usize] && document(a) == document(b)
        };
        let mut contradiction: Option<(u32, u32)> = None;
        order.dedup_by(|row, first| {
            let same = same_pair(*row, *first);
            if same && grades[*row as usize] != grades[*first as usize] {
                let earliest = contradiction.is_none_or(|(known, _)| *row < known);
                contradiction = earliest.then_some((*row, *first)).or(contradiction);
            }
            same
        });
        if let Some((row, first)) = contradiction {
            let line = |row: u32| u64::from(row) + 1 + u64::from(header);
            let problem = LineProblem::ContradictoryJudgement {
                qid: qids
                    .get(queries[row as usize] as usize)
                    .unwrap_or_default()
                    .to_owned(),
                document: document(row).to_owned(),
                grade: grades[row as usize],
                first_grade: grades[first as usize],
                first_line: line(first),
            };
            return Err(problem.at(name, line(row)));
        }
        order.sort_unstable_by_key(|&row| (queries[row as usize], row));
        let mut ends = vec![0; qids.len()];
        for (place, &row) in order.iter().enumerate() {
            ends[queries[row as usize] as usize] = place as u32 + 1;
        }
        Ok(Qrels {
            qids,
            ends,
            order,
            documents,
            grades,
        })
    }
}
