//! Cutting a text before it is tokenized: where no token past the maximum can come from.
//!
//! The library needs some hundred bytes of memory for each byte of a text, and of a long text only the first
//! tokens are wanted. Which they are is decided by the text up to a little behind them, if the tokenizer splits at
//! white space: every word is then tokenized by itself, and what lies behind a cut can change
//!
//! * the words next to it, the last of which may be cut in two, and another become one with its neighbour by
//!   Unicode composition: at most as many tokens as these words have characters, and
//! * a token that is recognised across it, which takes at most its length from the words before.
//!
//! So the tokens of a part are those of the whole text but for the last of them, [`Cut::doubtful`] many. Of runs
//! that are longer than the tokens that are wanted the middle adds nothing: white space has no tokens, a word
//! beyond the model's maximum is one unknown token however long it is, and of anything that has a token for each
//! character there are enough. They are shortened, so that a megabyte of either is no megabyte of work.

use std::borrow::Cow;

/// Bytes that are read for each token that is wanted, at first.
const BYTES_PER_TOKEN: usize = 6;

/// By how much more is read if that did not suffice.
const FACTOR: usize = 8;

/// The most that is read of any text, unless more tokens are wanted than it has room for.
const MAX_READ: usize = 128 << 10;

/// What has to be known of a tokenizer to cut its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The longest word, in characters, that is split into pieces.
    pub(super) longest_word: usize,
    /// The bytes of the longest token that is recognised in texts, normalised.
    longest_recognised: usize,
    /// Whether the middle of a run cannot hold a token that is recognised.
    shortens_runs: bool,
}

/// A part of a text that has the same first tokens.
pub(super) struct Part<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether it is all of the text, but for the middle of runs.
    pub(super) is_whole: bool,
    /// Where in the part the middle of a run was left out, and how many bytes were until there in all.
    gaps: Vec<(usize, usize)>,
}

impl Cut {
    /// The rules for a tokenizer that splits words of up to `longest_word` characters at white space, lets a text
    /// grow by `growth`, and recognises these tokens in it.
    pub(super) fn new(longest_word: usize, growth: usize, recognised: &[String]) -> Cut {
        let longest = recognised.iter().map(String::len).max().unwrap_or(0);
        let in_no_run = |token: &String| {
            let first = token.chars().next();
            token.contains(|char: char| char.is_ascii_punctuation())
                && token.chars().any(|char| Some(char) != first)
        };
        Cut {
            longest_word,
            longest_recognised: longest.saturating_mul(growth),
            shortens_runs: recognised.iter().all(in_no_run),
        }
    }

    /// How many of the last tokens of a part may be others in the whole text.
    pub(super) fn doubtful(&self) -> usize {
        let words = self.longest_word.saturating_mul(4);
        words
            .saturating_add(self.longest_recognised.saturating_mul(2))
            .saturating_add(16)
    }

    /// Parts of `text`, each longer than the one before. The first that comes to `tokens` tokens beside the
    /// [doubtful](Cut::doubtful), or is whole, has the first `tokens` of the text. None of them need be.
    pub(super) fn parts<'a>(&self, text: &'a str, tokens: usize) -> impl Iterator<Item = Part<'a>> {
        let wanted = tokens.saturating_add(self.doubtful());
        let first = wanted.saturating_mul(BYTES_PER_TOKEN);
        let most = MAX_READ.max(first.saturating_mul(2));
        let longest_run = match self.shortens_runs {
            true => wanted,
            false => usize::MAX,
        };
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let size = next?;
            let part = match text.len() <= size {
                true => Part::whole(text),
                false => Part::of(text, size, longest_run),
            };
            next = (!part.is_whole && size < most).then(|| size.saturating_mul(FACTOR).min(most));
            Some(part)
        })
    }
}

/// Characters of which a run may be shortened though they differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// White space to every tokenizer that splits at it.
    Space,
    /// Letters and digits that no normaliser removes or turns into something that splits.
    Word,
    Itself(char),
}

impl Alike {
    fn of(char: char) -> Alike {
        match char {
            ' ' | '\t' | '\n' | '\r' => Alike::Space,
            '0'..='9' | 'a'..='z' | 'A'..='Z' => Alike::Word,
            other => Alike::Itself(other),
        }
    }
}

impl<'a> Part<'a> {
    pub(super) fn whole(text: &'a str) -> Part<'a> {
        Part {
            text: Cow::Borrowed(text),
            is_whole: true,
            gaps: Vec::new(),
        }
    }

    /// At most some `size` bytes of `text`, with the middle of every run left out that is longer than two times
    /// `longest_run` characters.
    fn of(text: &'a str, size: usize, longest_run: usize) -> Part<'a> {
        let mut part = Part {
            text: Cow::Owned(String::with_capacity(size)),
            is_whole: true,
            gaps: Vec::new(),
        };
        let (mut rest, mut skipped) = (text, 0);
        while let Some(first) = rest.chars().next() {
            let taken = part.text.to_mut();
            if taken.len() >= size {
                part.is_whole = false;
                break;
            }
            let alike = Alike::of(first);
            let length = rest
                .find(|char| Alike::of(char) != alike)
                .unwrap_or(rest.len());
            let (run, after) = rest.split_at(length);
            // Characters that are alike without being the same have one byte each.
            let keep = longest_run.saturating_mul(first.len_utf8());
            if run.len() > keep.saturating_mul(2) {
                taken.push_str(&run[..keep]);
                skipped += run.len() - 2 * keep;
                part.gaps.push((taken.len(), skipped));
                taken.push_str(&run[run.len() - keep..]);
            } else {
                taken.push_str(&run[..run.floor_char_boundary(size)]);
                if run.len() > size {
                    part.is_whole = false;
                    break;
                }
            }
            rest = after;
        }
        part
    }

    /// The bytes of the text that `start..end` of the part stands for.
    pub(super) fn original(&self, start: usize, end: usize) -> std::ops::Range<usize> {
        let before = |is_before: &dyn Fn(usize) -> bool| {
            let gap = self.gaps.iter().rev().find(|(at, _)| is_before(*at));
            gap.map_or(0, |(_, skipped)| *skipped)
        };
        start + before(&|at| at <= start)..end + before(&|at| at < end)
    }
}
