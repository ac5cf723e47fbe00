//! Rankings as JSON, one query per line.

use std::fmt;
use std::io::Write;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::json;

use super::builder::Builder;
use super::ranked::{Ranked, Ranking};
use crate::document_ids::DocumentIds;
use crate::error::{CorpusError, LineProblem};
use crate::json_fields::{self, Any, Field};

const RESULTS: &str = "results";

pub(super) fn parse_line(line: &str, builder: &mut Builder) -> Result<(), LineProblem> {
    // An object of any fields, or the error that says what else it is.
    let fields = json_fields::object(line, &["qid"])?;
    let query = builder.add_query(&fields.id("qid")?)?;
    let results = json_fields::parse(line, Line)?;
    let results = results.ok_or(LineProblem::MissingField { field: RESULTS })?;
    for ranked in results? {
        builder.push(query, ranked);
    }
    Ok(())
}

/// The results of a query, or the first problem with them; all of them are read in either case.
type Results = Result<Vec<Ranked>, LineProblem>;

/// Reads the results of an object.
struct Line;

impl<'a> DeserializeSeed<'a> for Line {
    type Value = Option<Results>;

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<Option<Results>, D::Error> {
        value.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Line {
    type Value = Option<Results>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with results")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Option<Results>, A::Error> {
        let mut results = None;
        while let Some(Field::Text(name)) = entries.next_key_seed(Any)? {
            if name == RESULTS {
                results = Some(entries.next_value_seed(List)?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(results)
    }
}

/// Reads an array of results.
struct List;

impl<'a> DeserializeSeed<'a> for List {
    type Value = Results;

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<Results, D::Error> {
        value.deserialize_any(self)
    }
}

/// What stands in the place of the array.
macro_rules! no_array {
    ($($visit:ident($type:ty)),+ $(,)?) => {
        $(fn $visit<E: serde::de::Error>(self, value: $type) -> Result<Results, E> {
            Any.$visit(value).map(|found| Err(found.should_be(RESULTS, "an array")))
        })+
    };
}

impl<'a> Visitor<'a> for List {
    type Value = Results;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of results")
    }

    no_array!(
        visit_borrowed_str(&'a str),
        visit_str(&str),
        visit_u64(u64),
        visit_i64(i64),
        visit_f64(f64),
        visit_bool(bool),
    );

    fn visit_unit<E>(self) -> Result<Results, E> {
        Ok(Err(Field::Null.should_be(RESULTS, "an array")))
    }

    fn visit_map<A: MapAccess<'a>>(self, entries: A) -> Result<Results, A::Error> {
        let found = Any.visit_map(entries)?;
        Ok(Err(found.should_be(RESULTS, "an array")))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Results, A::Error> {
        let mut results = Ok(Vec::new());
        while let Some(fields) = items.next_element_seed(json_fields::Object {
            wanted: &["pid", "rank", "score"],
        })? {
            if let Ok(ranked) = &mut results {
                match fields.and_then(|fields| result(&fields)) {
                    Ok(result) => ranked.push(result),
                    Err(problem) => results = Err(problem),
                }
            }
        }
        Ok(results)
    }
}

fn result(fields: &json_fields::Fields<'_>) -> Result<Ranked, LineProblem> {
    let ranked = Ranked {
        pid: fields.get("pid")?.small_integer("pid")?,
        rank: fields.get("rank")?.small_integer("rank")?,
        score: fields.get("score")?.number("score")?,
    };
    match ranked.rank {
        0 => Err(LineProblem::RankZero),
        _ => Ok(ranked),
    }
}

pub(super) fn write(
    ranking: &Ranking,
    out: &mut impl Write,
    documents: &(impl DocumentIds + ?Sized),
    metadata: impl Fn(u32) -> Option<String>,
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
            let more = match metadata(pid) {
                Some(object) => format!(",\"metadata\":{object}"),
                None => String::new(),
            };
            let result = format!(
                "{comma}{{\"pid\":{pid},\"id\":{id},\"rank\":{rank},\"score\":{score}{more}}}"
            );
            out.write_all(result.as_bytes())
                .map_err(CorpusError::Write)?;
        }
        out.write_all(b"]}\n").map_err(CorpusError::Write)?;
    }
    Ok(())
}
