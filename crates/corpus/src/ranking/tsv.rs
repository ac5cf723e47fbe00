//! ColBERT's ranking TSV.

use std::io::Write;

use super::builder::Builder;
use super::ranked::{Ranked, Ranking};
use crate::error::{CorpusError, LineProblem};
use crate::ids::quoted;
use crate::python_float::python_repr;
use crate::whitespace::strip;

const COLUMNS: &str = "qid TAB pid TAB rank TAB score";

pub(super) fn parse_line(line: &str, builder: &mut Builder) -> Result<(), LineProblem> {
    let fields: Vec<&str> = strip(line).split('\t').collect();
    let [qid, pid, rank, score, ..] = fields[..] else {
        return Err(LineProblem::Columns {
            found: fields.len(),
            expected: COLUMNS,
        });
    };
    let query = builder.add_query(qid)?;
    let ranked = Ranked {
        pid: integer("the pid", pid)?,
        rank: integer("the rank", rank)?,
        score: number("the score", score)?,
    };
    if ranked.rank == 0 {
        return Err(LineProblem::RankZero);
    }
    builder.push(query, ranked);
    Ok(())
}

/// The whole number from 0 to `u32::MAX` in `text`.
pub(super) fn integer(field: &'static str, text: &str) -> Result<u32, LineProblem> {
    text.parse().map_err(|_| LineProblem::NotAnInteger {
        field,
        found: quoted(text),
    })
}

/// The number in `text`.
pub(super) fn number(field: &'static str, text: &str) -> Result<f64, LineProblem> {
    text.parse().map_err(|_| LineProblem::NotANumber {
        field,
        found: quoted(text),
    })
}

pub(super) fn write(ranking: &Ranking, out: &mut impl Write) -> Result<(), CorpusError> {
    for (qid, found) in ranking.iter() {
        // The reader strips what stands at the ends of a line and would miss it.
        if qid.is_empty() || qid.contains(['\t', '\n', '\r']) || strip(qid) != qid {
            return Err(CorpusError::IdNotInFormat {
                id: qid.to_owned(),
                format: "TSV",
            });
        }
        for Ranked { pid, rank, score } in found {
            let score = python_repr(*score);
            writeln!(out, "{qid}\t{pid}\t{rank}\t{score}").map_err(CorpusError::Write)?;
        }
    }
    Ok(())
}
