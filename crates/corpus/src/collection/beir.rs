//! BEIR's `corpus.jsonl`.

use std::io::BufRead;

use super::passages::{Collection, ExternalIds, TITLE_SEPARATOR};
use crate::error::{CorpusError, LineProblem};
use crate::json_fields;
use crate::lines::Lines;
use crate::packed_strings::PackedStrings;

pub(super) fn parse(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
    let mut collection = Collection::default();
    let mut ids = PackedStrings::default();
    let mut lines = Lines::new(name, reader);
    while let Some(line) = lines.next()? {
        let pushed = push_line(&mut collection, &mut ids, line);
        pushed.map_err(|problem| lines.error(problem))?;
    }
    let ids = ExternalIds::new(ids).map_err(|repeated| {
        // Every line is one passage: a line's number is the pid plus one.
        let problem = LineProblem::DuplicateId {
            field: "the document id",
            id: repeated.id,
            first_line: u64::from(repeated.first) + 1,
        };
        problem.at(name, u64::from(repeated.second) + 1)
    })?;
    collection.external_ids = Some(ids);
    Ok(collection)
}

fn push_line(
    collection: &mut Collection,
    ids: &mut PackedStrings,
    line: &str,
) -> Result<(), LineProblem> {
    collection.check_room()?;
    let fields = json_fields::object(line, &["_id", "text", "title"])?;
    let id = fields.id("_id")?;
    let text = fields.text("text")?;
    let title = match fields.has("title") {
        true => fields.text("title")?,
        false => "",
    };
    ids.push(&[&id]);
    match title {
        "" => collection.texts.push(&[text]),
        title => collection.texts.push(&[title, TITLE_SEPARATOR, text]),
    }
    Ok(())
}
