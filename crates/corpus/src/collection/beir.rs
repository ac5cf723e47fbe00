//! BEIR's `corpus.jsonl`.

use std::io::BufRead;

use super::passages::{Collection, ExternalIds, TITLE_SEPARATOR};
use crate::error::{CorpusError, LeftOut, LineProblem};
use crate::json_fields;
use crate::json_objects::kept;
use crate::lines::Lines;
use crate::notices::Notices;
use crate::packed_strings::PackedStrings;

/// The fields that are no metadata.
const FIELDS: [&str; 3] = ["_id", "text", "title"];

const LARGE: &str = "fields beside the text are left out: they are larger than the 64 KiB that are kept of a passage's";
const DEEP: &str = "fields beside the text are left out: they have more than 16 lists and objects inside each other";
const TWICE: &str =
    "fields in \"metadata\" are left out that also stand beside it, as those are kept";
const NO_VALUE: &str =
    "the fields beside the text are left out: a number or a text among them is none";

pub(super) fn parse(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
    let mut collection = Collection::default();
    let mut ids = PackedStrings::default();
    let mut notices = Notices::default();
    let mut lines = Lines::new(name, reader);
    while let Some(line) = lines.next()? {
        let pushed = push_line(&mut collection, &mut ids, line);
        let left_out = pushed.map_err(|problem| lines.error(problem))?;
        left_out.inspect(|text| notices.note(text, lines.number()));
    }
    collection.notices = notices.into_texts(name);
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
) -> Result<Option<&'static str>, LineProblem> {
    collection.check_room()?;
    let fields = json_fields::object(line, &FIELDS)?;
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
    let (object, left_out) = match fields.others {
        true => metadata(line),
        false => (String::new(), None),
    };
    collection.metadata.push(&object);
    Ok(left_out)
}

/// What stands beside the text. A collection is not refused for what nobody may have asked for.
fn metadata(line: &str) -> (String, Option<&'static str>) {
    match kept(line, &FIELDS) {
        Ok(kept) => {
            let told = kept.left_out.map(|(_, why)| match why {
                LeftOut::Large => LARGE,
                LeftOut::Deep => DEEP,
                LeftOut::Twice => TWICE,
            });
            (kept.text, told)
        }
        Err(_) => (String::new(), Some(NO_VALUE)),
    }
}
