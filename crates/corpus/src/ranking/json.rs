//! Rankings as JSON, one query per line.

use std::io::Write;

use serde_json::{Value, json};

use super::builder::Builder;
use super::ranked::{Ranked, Ranking};
use crate::document_ids::DocumentIds;
use crate::error::{CorpusError, LineProblem};
use crate::json_fields;

pub(super) fn parse_line(line: &str, builder: &mut Builder) -> Result<(), LineProblem> {
    let map = json_fields::object(line)?;
    let qid = json_fields::id(&map, "qid")?;
    let results = json_fields::array(&map, "results")?;
    builder.add_query(&qid);
    for result in results {
        let Value::Object(result) = result else {
            return Err(LineProblem::NotAnObject {
                found: json_fields::kind(result),
            });
        };
        let ranked = Ranked {
            pid: json_fields::small_integer(result, "pid")?,
            rank: json_fields::small_integer(result, "rank")?,
            score: json_fields::number(result, "score")?,
        };
        if ranked.rank == 0 {
            return Err(LineProblem::RankZero);
        }
        builder.push(&qid, ranked);
    }
    Ok(())
}

pub(super) fn write(
    ranking: &Ranking,
    out: &mut impl Write,
    documents: &(impl DocumentIds + ?Sized),
) -> Result<(), CorpusError> {
    for (qid, found) in ranking.iter() {
        // Written piece by piece, so that the keys keep this order.
        let qid_text = json!(qid);
        write!(out, "{{\"qid\":{qid_text},\"results\":[").map_err(CorpusError::Write)?;
        for (place, ranked) in found.iter().enumerate() {
            let Ranked { pid, rank, score } = *ranked;
            if !score.is_finite() {
                return Err(CorpusError::ScoreNotInJson {
                    qid: qid.to_owned(),
                    pid,
                    score,
                });
            }
            let comma = if place == 0 { "" } else { "," };
            let id = json!(documents.external_id(pid));
            let score = json!(score);
            let result =
                format!("{comma}{{\"pid\":{pid},\"id\":{id},\"rank\":{rank},\"score\":{score}}}");
            out.write_all(result.as_bytes())
                .map_err(CorpusError::Write)?;
        }
        out.write_all(b"]}\n").map_err(CorpusError::Write)?;
    }
    Ok(())
}
