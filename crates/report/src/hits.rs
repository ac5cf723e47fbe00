//! What a search found.

use serde::Serialize;

use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// One passage that a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit<'a> {
    /// Its place, from 1.
    pub rank: usize,
    /// Its number in the collection.
    pub pid: usize,
    /// Its name in the collection, where passages have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    pub score: f32,
    /// Its text, where the collection is at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
}

/// The hits as a table, best first as given; texts give way to the width of the terminal.
pub fn hits_table(hits: &[Hit<'_>], style: &Style) -> String {
    if hits.is_empty() {
        return "no passage was found\n".to_owned();
    }
    let name = if hits.iter().any(|hit| hit.id.is_some()) {
        Column::left("id")
    } else {
        Column::right("pid")
    };
    let mut table = Table::new([
        Column::right("rank"),
        name,
        Column::right("score"),
        Column::left("passage").giving_way(),
    ]);
    for hit in hits {
        let name = hit.id.map_or_else(|| hit.pid.to_string(), str::to_owned);
        let text = hit.text.unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().collect();
        table.row([
            Cell::toned(Tone::Faint, hit.rank.to_string()),
            name.into(),
            format!("{:.4}", hit.score).into(),
            Cell::running(&words.join(" ")),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_line_and_give_way_to_the_terminal() {
        let hit = |rank, pid, score, text| Hit {
            rank,
            pid,
            id: None,
            score,
            text: Some(text),
        };
        let hits = [
            hit(1, 14, 12.25, "a passage\nof   two lines"),
            hit(2, 3, 9.5, "short"),
        ];
        let style = Style {
            width: Some(35),
            ..Style::default()
        };
        assert_eq!(
            hits_table(&hits, &style),
            "rank  pid    score  passage\n   1   14  12.2500  a passage of t…\n   2    3   9.5000  short\n"
        );
    }

    #[test]
    fn names_stand_in_the_place_of_pids() {
        let hit = Hit {
            rank: 1,
            pid: 0,
            id: Some("MED-10"),
            score: 1.0,
            text: None,
        };
        let text = hits_table(&[hit], &Style::default());
        assert_eq!(
            text,
            "rank  id       score  passage\n   1  MED-10  1.0000\n"
        );
    }
}
