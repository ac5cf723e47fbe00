//! Passages in full, with the words marked that a query matched.

use std::borrow::Cow;
use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::hits::Hit;
use crate::printable::{escaped, printable};
use crate::style::{Style, Tone};

/// Before each line of a passage.
const INDENT: &str = "      ";

/// The narrowest that a passage is broken to, indent not counted.
const MIN_WIDTH: usize = 20;

/// A word of a query and the word of a passage that is nearest to it.
#[derive(Clone, Debug, PartialEq)]
pub struct WordMatch<'a> {
    pub query: &'a str,
    /// The bytes of the passage's word in its text, on character boundaries.
    pub passage: Range<usize>,
    /// The similarity of their embeddings, 1 at most.
    pub similarity: f32,
}

/// A passage that a search found, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPassage<'a> {
    pub hit: Hit<'a>,
    /// Its words that the query's words matched.
    pub matches: Vec<WordMatch<'a>>,
}

/// The passages in full, best first as given, broken to the width of the terminal, matched words
/// `[marked]`; under each the pairs of words in the order of the query.
///
/// ```
/// use concord_report::{FoundPassage, Hit, Style, WordMatch, passages_listing};
///
/// let text = Some("A red hue.");
/// let hit = Hit { rank: 1, pid: 7, id: None, score: 9.5, text };
/// let matches = vec![WordMatch { query: "colour", passage: 6..9, similarity: 0.8125 }];
/// assert_eq!(
///     passages_listing(&[FoundPassage { hit, matches }], &Style::default()),
///     "  1.  passage 7, score 9.5000\n      A red [hue].\n      colour~hue 0.81\n"
/// );
/// ```
pub fn passages_listing(found: &[FoundPassage<'_>], style: &Style) -> String {
    if found.is_empty() {
        return "no passage was found\n".to_owned();
    }
    found.iter().map(|found| listed(found, style)).collect()
}

fn listed(found: &FoundPassage<'_>, style: &Style) -> String {
    let hit = &found.hit;
    let name = hit.id.map_or_else(|| hit.pid.to_string(), str::to_owned);
    let heading = format!("passage {}, score {:.4}", printable(&name), hit.score);
    let mut out = format!("{:>3}.  {}\n", hit.rank, style.paint(Tone::Faint, &heading));
    let Some(text) = hit.text else { return out };
    let words = words(text).map(|word| marked(text, word, &found.matches, style));
    fill(words, style.width, &mut out);
    let pairs = found.matches.iter().map(|pair| {
        let query = printable(pair.query);
        let passage = shown(text, pair.passage.clone());
        let pair = format!("{query}~{passage} {:.2}", pair.similarity);
        (pair.width(), style.paint(Tone::Faint, &pair))
    });
    fill(pairs, style.width, &mut out);
    out
}

/// The bytes of the words of `text`.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.split_whitespace().map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    })
}

/// A word with its matched parts in brackets, and its width.
fn marked(
    text: &str,
    word: Range<usize>,
    matches: &[WordMatch<'_>],
    style: &Style,
) -> (usize, String) {
    let mut parts: Vec<Range<usize>> = matches
        .iter()
        .map(|found| found.passage.start.max(word.start)..found.passage.end.min(word.end))
        .filter(|part| part.start < part.end)
        .collect();
    parts.sort_by_key(|part| part.start);
    let (mut at, mut width, mut out) = (word.start, 0, String::new());
    for part in parts.into_iter().chain(std::iter::once(word.end..word.end)) {
        // Two words of the query may have matched the same word.
        if part.start < at {
            continue;
        }
        let (before, inside) = (shown(text, at..part.start), shown(text, part.clone()));
        width += before.width();
        out.push_str(&before);
        if !inside.is_empty() {
            let inside = format!("[{inside}]");
            width += inside.width();
            out.push_str(&style.paint(Tone::Good, &inside));
        }
        at = part.end;
    }
    (width, out)
}

/// A part of `text` as a terminal can show it.
fn shown(text: &str, part: Range<usize>) -> Cow<'_, str> {
    escaped(text.get(part).unwrap_or_default())
}

/// Lines of `words`, given with their widths, that fit the terminal.
fn fill(words: impl Iterator<Item = (usize, String)>, terminal: Option<usize>, out: &mut String) {
    let room = terminal.map_or(usize::MAX, |width| {
        width.saturating_sub(INDENT.len()).max(MIN_WIDTH)
    });
    let mut used = 0;
    for (width, word) in words {
        if used > 0 && used + 1 + width > room {
            out.push('\n');
            used = 0;
        }
        if used == 0 {
            out.push_str(INDENT);
            used = width;
        } else {
            out.push(' ');
            used += 1 + width;
        }
        out.push_str(&word);
    }
    if used > 0 {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(text: &str, matches: &[(&'static str, Range<usize>)], style: &Style) -> String {
        let hit = Hit {
            rank: 12,
            pid: 3,
            id: Some("MED-10"),
            score: 1.5,
            text: Some(text),
        };
        let matches = matches.iter().map(|(query, passage)| WordMatch {
            query,
            passage: passage.clone(),
            similarity: 0.5,
        });
        let matches = matches.collect();
        passages_listing(&[FoundPassage { hit, matches }], style)
    }

    #[test]
    fn parts_of_words_are_marked_once_each_in_order() {
        let text = "(sun-dried) tomatoes";
        let matches = [
            ("fruit", 12..20),
            ("dry", 5..10),
            ("star", 1..4),
            ("dried", 5..10),
        ];
        assert_eq!(
            listing(text, &matches, &Style::default()),
            " 12.  passage MED-10, score 1.5000\n      ([sun]-[dried]) [tomatoes]\n      \
             fruit~tomatoes 0.50 dry~dried 0.50 star~sun 0.50 dried~dried 0.50\n"
        );
    }

    #[test]
    fn lines_fit_the_terminal_colours_not_counted() {
        for colour in [false, true] {
            let style = Style {
                colour,
                width: Some(30),
            };
            let text = "Ein  Wörterbuch\tder Straßen, Brücken und Türme am Fluss\u{1b}[2J";
            let word = |word: &str| {
                let at = text.find(word).unwrap();
                at..at + word.len()
            };
            let matches = [("lexicon", word("Wörterbuch")), ("water", word("Fluss"))];
            let shown = listing(text, &matches, &style);
            let mut plain = String::new();
            let mut escapes = shown.split("\u{1b}[");
            plain.push_str(escapes.next().unwrap());
            for part in escapes {
                plain.push_str(part.split_once('m').unwrap().1);
            }
            assert_eq!(
                plain.lines().skip(1).collect::<Vec<_>>(),
                [
                    "      Ein [Wörterbuch] der",
                    "      Straßen, Brücken und",
                    "      Türme am",
                    "      [Fluss]\\u{1b}[2J",
                    "      lexicon~Wörterbuch 0.50",
                    "      water~Fluss 0.50",
                ],
                "{shown:?}"
            );
            assert!(plain.lines().skip(1).all(|line| line.width() <= 30));
        }
    }

    #[test]
    fn without_texts_or_passages_it_says_what_there_is() {
        assert_eq!(
            passages_listing(&[], &Style::default()),
            "no passage was found\n"
        );
        let hit = Hit {
            rank: 1,
            pid: 3,
            id: None,
            score: 2.0,
            text: None,
        };
        let found = FoundPassage {
            hit,
            matches: Vec::new(),
        };
        assert_eq!(
            passages_listing(&[found], &Style::default()),
            "  1.  passage 3, score 2.0000\n"
        );
    }
}
