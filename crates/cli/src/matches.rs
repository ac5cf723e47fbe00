//! Which words of a passage the words of a query matched.

use std::ops::Range;

use concord_engine::open::{OpenIndex, SearchError};
use concord_index::search::Searcher;
use concord_model::tokenizer::{DocTokenizer, QueryTokenizer};
use concord_report::WordMatch;

use crate::output::Failure;

/// Finds them, from the embeddings that the score is made of.
pub struct Matcher<'a> {
    searcher: &'a Searcher,
    queries: QueryTokenizer,
    passages: DocTokenizer,
}

impl<'a> Matcher<'a> {
    pub fn new(index: &'a OpenIndex) -> Result<Matcher<'a>, Failure> {
        let checkpoint = index.checkpoint().ok_or(SearchError::NoEncoder)?;
        let config = index.config();
        Ok(Matcher {
            searcher: index.searcher()?,
            queries: checkpoint.query_tokenizer(config)?,
            passages: checkpoint.doc_tokenizer(config)?,
        })
    }

    /// For each word of `query`, in its order, the nearest word of the passage, whose text is `text`.
    /// A word of several pieces goes by the piece that matches best. Punctuation, the markers and
    /// the `[MASK]`s, which add to the score as well, are left out, and so is a word whose nearest
    /// token is one of those.
    pub fn words<'q>(
        &self,
        query: &'q str,
        embeddings: &[f32],
        pid: u32,
        text: &str,
    ) -> Result<Vec<WordMatch<'q>>, Failure> {
        let asked = self.queries.spans(query)?;
        let kept = self.passages.kept_spans(text)?;
        let matches = self.searcher.matches(embeddings, pid);
        let mut words: Vec<(Range<usize>, WordMatch<'q>)> = Vec::new();
        for (span, found) in asked.into_iter().zip(matches) {
            let Some(asked) = span.and_then(|span| word_at(query, span)) else {
                continue;
            };
            let passage = kept.get(found.token).cloned().flatten();
            let Some(passage) = passage.and_then(|span| word_at(text, span)) else {
                continue;
            };
            let found = WordMatch {
                query: &query[asked.clone()],
                passage,
                similarity: found.similarity,
            };
            match words.last_mut() {
                Some((word, best)) if *word == asked => {
                    if found.similarity > best.similarity {
                        *best = found;
                    }
                }
                _ => words.push((asked, found)),
            }
        }
        Ok(words.into_iter().map(|(_, found)| found).collect())
    }
}

/// The word of `text` that `span` is part of: the letters and digits around it. Nothing if it is not
/// part of a word.
fn word_at(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let inside = text.get(span.clone())?;
    inside.chars().all(char::is_alphanumeric).then_some(())?;
    let before = text[..span.start].chars().rev();
    let before: usize = before
        .take_while(|c| c.is_alphanumeric())
        .map(char::len_utf8)
        .sum();
    let after = text[span.end..].chars();
    let after: usize = after
        .take_while(|c| c.is_alphanumeric())
        .map(char::len_utf8)
        .sum();
    Some(span.start - before..span.end + after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_belongs_to_the_letters_and_digits_around_it() {
        let text = "Über-schwänglich, 4.5km";
        let word = |span| word_at(text, span).map(|word| &text[word]);
        assert_eq!(word(0..2), Some("Über"));
        assert_eq!(word(8..10), Some("schwänglich"));
        assert_eq!(word(22..23), Some("5km"));
        assert_eq!(word(5..6), None, "punctuation");
        assert_eq!(word(0..1), None, "not on a character boundary");
        assert_eq!(word(0..100), None, "beyond the text");
    }
}
