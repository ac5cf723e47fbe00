//! Relevance judgements.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use crate::document_ids::DocumentIds;
use crate::error::{CorpusError, LineProblem};
use crate::lines::{Lines, open_file};

const FOUR_COLUMNS: &str = "qid 0 document grade";
const THREE_COLUMNS: &str = "qid TAB document TAB grade, as the header says";
/// The header of BEIR's files.
const BEIR_HEADER: [&str; 3] = ["query-id", "corpus-id", "score"];

/// One document's relevance to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The document's id, as the file writes it.
    pub document: String,
    /// 0 or less: not relevant; above: the more, the more relevant.
    pub grade: i64,
}

/// The judgements of a set of queries, in the order of their file.
#[derive(Debug, Clone, Default)]
pub struct Qrels {
    queries: Vec<(String, Vec<Judgement>)>,
    by_qid: HashMap<String, usize>,
}

/// The grades of one query's judged passages, by pid.
pub type Grades = HashMap<u32, i64>;

impl Qrels {
    /// Reads the judgements in `path`, as [`Qrels::parse`].
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
            let is_header = line.split('\t').eq(BEIR_HEADER);
            let row = columns(line).map(Row::owned);
            let number = lines.number();
            if number == 1 && is_header {
                columns = three_columns;
                continue;
            }
            let pushed = row.and_then(|(qid, judgement)| builder.push(qid, judgement, number));
            pushed.map_err(|problem| lines.error(problem))?;
        }
        Ok(builder.qrels)
    }

    /// The number of queries with judgements.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// The judgements of the query `qid`.
    pub fn get(&self, qid: &str) -> Option<&[Judgement]> {
        let place = *self.by_qid.get(qid)?;
        Some(&self.queries[place].1)
    }

    /// The queries and their judgements, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[Judgement])> {
        let queries = self.queries.iter();
        queries.map(|(qid, judgements)| (qid.as_str(), judgements.as_slice()))
    }

    /// The grades of the query `qid` by pid, and the number of judged documents that `documents`
    /// does not have. Both are empty for a query without judgements.
    pub fn grades(&self, qid: &str, documents: &(impl DocumentIds + ?Sized)) -> (Grades, usize) {
        let judgements = self.get(qid).unwrap_or_default();
        let by_pid = |judgement: &Judgement| {
            let pid = documents.pid_of(&judgement.document)?;
            Some((pid, judgement.grade))
        };
        let grades: Grades = judgements.iter().filter_map(by_pid).collect();
        let unknown = judgements.len() - grades.len();
        (grades, unknown)
    }
}

/// The fields of a line.
struct Row<'a> {
    qid: &'a str,
    document: &'a str,
    grade: i64,
}

impl Row<'_> {
    fn owned(self) -> (String, Judgement) {
        let judgement = Judgement {
            document: self.document.to_owned(),
            grade: self.grade,
        };
        (self.qid.to_owned(), judgement)
    }
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
    for (field, id) in [("the query id", qid), ("the document id", document)] {
        if id.is_empty() {
            return Err(LineProblem::EmptyId { field });
        }
    }
    let grade = grade.parse().map_err(|_| LineProblem::NotAnInteger {
        field: "the grade",
        found: grade.to_owned(),
    })?;
    Ok(Row {
        qid,
        document,
        grade,
    })
}

#[derive(Default)]
struct Builder {
    qrels: Qrels,
    /// The line and the grade of each pair of a query's place and a document.
    seen: HashMap<(usize, String), (u64, i64)>,
}

impl Builder {
    fn push(&mut self, qid: String, judgement: Judgement, line: u64) -> Result<(), LineProblem> {
        let Qrels { queries, by_qid } = &mut self.qrels;
        let place = *by_qid.entry(qid).or_insert_with_key(|qid| {
            queries.push((qid.clone(), Vec::new()));
            queries.len() - 1
        });
        let (qid, judgements) = &mut queries[place];
        let pair = (place, judgement.document.clone());
        match self.seen.get(&pair) {
            None => {
                self.seen.insert(pair, (line, judgement.grade));
                judgements.push(judgement);
                Ok(())
            }
            Some((_, grade)) if *grade == judgement.grade => Ok(()),
            Some((first_line, first_grade)) => Err(LineProblem::ContradictoryJudgement {
                qid: qid.clone(),
                document: judgement.document,
                grade: judgement.grade,
                first_grade: *first_grade,
                first_line: *first_line,
            }),
        }
    }
}
