//! TREC runs.

use std::io::Write;

use super::builder::Builder;
use super::ranked::{Ranked, Ranking};
use super::tsv::{integer, number};
use crate::document_ids::DocumentIds;
use crate::error::{CorpusError, LineProblem};
use crate::ids::check_id;
use crate::python_float::python_repr;
use crate::whitespace::contains_space;

const COLUMNS: &str = "qid Q0 document rank score tag";

pub(super) fn parse_line(
    line: &str,
    documents: &(impl DocumentIds + ?Sized),
    builder: &mut Builder,
) -> Result<(), LineProblem> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [qid, _, document, rank, score, _] = fields[..] else {
        return Err(LineProblem::Columns {
            found: fields.len(),
            expected: COLUMNS,
        });
    };
    check_id("the document id", document)?;
    let pid = documents.pid_of(document);
    let ranked = Ranked {
        pid: pid.ok_or_else(|| LineProblem::UnknownDocument {
            id: document.to_owned(),
        })?,
        rank: integer("the rank", rank)?,
        score: number("the score", score)?,
    };
    let query = builder.add_query(qid)?;
    builder.push(query, ranked);
    Ok(())
}

pub(super) fn write(
    ranking: &Ranking,
    out: &mut impl Write,
    documents: &(impl DocumentIds + ?Sized),
    tag: &str,
) -> Result<(), CorpusError> {
    check(tag)?;
    for (qid, found) in ranking.iter() {
        check(qid)?;
        for Ranked { pid, rank, score } in found {
            let document = documents.external_id(*pid);
            check(&document)?;
            let score = python_repr(*score);
            writeln!(out, "{qid} Q0 {document} {rank} {score} {tag}")
                .map_err(CorpusError::Write)?;
        }
    }
    Ok(())
}

/// Refuses what would not be one field.
fn check(id: &str) -> Result<(), CorpusError> {
    // What reads runs is written in C, where a string ends at NUL.
    match id.is_empty() || contains_space(id) || id.contains('\0') {
        true => Err(CorpusError::IdNotInFormat {
            id: id.to_owned(),
            format: "TREC",
        }),
        false => Ok(()),
    }
}
