//! Texts from outside, made fit for a terminal: what would move the cursor, colour or hide other text is written out,
//! and what is too long to be read is cut. All that the program shows goes through here.

use std::borrow::Cow;
use std::fmt::Write;

use crate::style::{CODES, Style};

/// The most characters of a name, a path or a cell of a table.
const MAX_VALUE: usize = 1_000;

/// The most characters of a line of a message, which may have several values in it.
const MAX_LINE: usize = 4_000;

/// The most lines of a message.
const MAX_LINES: usize = 100;

/// Whether a terminal would do something at this character instead of showing it: the control characters of ASCII
/// and of ISO 6429's second set, line and paragraph separators, and what overrides the direction of text
/// (Unicode Standard Annex 9).
fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with active characters written as `\n`, `\u{1b}` and so on.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(c, &mut out);
    }
    Cow::Owned(out)
}

fn push(c: char, out: &mut String) {
    if is_active(c) {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

/// A value in a text: [`escaped`], and where it is long, its beginning and its end with the number of its characters
/// between them.
///
/// ```
/// assert_eq!(concord_report::printable("codes\u{1b}[2J"), "codes\\u{1b}[2J");
/// let long = "x".repeat(5_000);
/// assert!(concord_report::printable(&long).contains("x… (5000 characters) …x"));
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    cut(text, MAX_VALUE)
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    // Characters are counted only where there may be too many.
    if text.len() <= most {
        return escaped(text);
    }
    let count = text.chars().count();
    if count <= most {
        return escaped(text);
    }
    let tail = most / 4;
    let at = |number: usize| {
        let mut indices = text.char_indices().map(|(at, _)| at);
        indices.nth(number).unwrap_or(text.len())
    };
    let (head, tail) = (&text[..at(most - tail)], &text[at(count - tail)..]);
    let (head, tail) = (escaped(head), escaped(tail));
    Cow::Owned(format!("{head}… ({count} characters) …{tail}"))
}

/// A message of the program with texts from outside in it.
///
/// Line breaks stay where they stand before an indented line, or before the line that announces indented ones: so are
/// the messages that quote what another program said. Any other was brought in by a value, and would let it pass for
/// a message of its own.
pub fn message(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let is_quoted = |at: usize| {
        lines
            .get(at)
            .is_some_and(|line: &&str| line.starts_with("  "))
    };
    let mut out = String::new();
    let mut line = String::new();
    let mut told = 0;
    for (at, part) in lines.iter().enumerate() {
        line.push_str(part);
        let last = at + 1 == lines.len();
        let announces =
            lines.get(at + 1).is_some_and(|next| next.ends_with(':')) && is_quoted(at + 2);
        if !last && !is_quoted(at + 1) && !announces {
            line.push('\n');
            continue;
        }
        if told == MAX_LINES {
            let _ = write!(out, "\n… ({} lines)", lines.len());
            return out;
        }
        if told > 0 {
            out.push('\n');
        }
        out.push_str(&cut(&line, MAX_LINE));
        line.clear();
        told += 1;
    }
    out
}

/// A result that was made for this style, with everything active in it written out but its line breaks and, where
/// the style has them, its own colours. What results are made of is escaped where it is put in; this holds for what
/// was not.
pub fn screen<'a>(text: &'a str, style: &Style) -> Cow<'a, str> {
    if !text.contains(|c| is_active(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = CODES
            .iter()
            .find(|code| style.colour && rest.starts_with(**code));
        if let Some(code) = code {
            out.push_str(code);
            rest = &rest[code.len()..];
            continue;
        }
        if c == '\n' {
            out.push(c);
        } else {
            push(c, &mut out);
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        for (text, shown) in [
            (
                "plain, ä, 日本, \u{200f}עברית",
                "plain, ä, 日本, \u{200f}עברית",
            ),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("a\r\n\tb\u{7}\u{0}", "a\\r\\n\\tb\\u{7}\\u{0}"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            (
                "\u{202e}txt.\u{2066}\u{2029}",
                "\\u{202e}txt.\\u{2066}\\u{2029}",
            ),
        ] {
            assert_eq!(escaped(text), shown);
            assert_eq!(printable(text), shown);
            assert_eq!(message(text), shown);
        }
    }

    #[test]
    fn long_values_are_cut_and_say_how_long_they_were() {
        let short = "ä".repeat(MAX_VALUE);
        assert_eq!(printable(&short), short);
        let long = format!("begin{}end", "日".repeat(40_000));
        let shown = printable(&long);
        assert!(shown.starts_with("begin日") && shown.ends_with("日end"));
        assert!(shown.contains("… (40008 characters) …"));
        assert!(shown.chars().count() < MAX_VALUE + 40);
        let error = format!("cannot read {}: it is damaged", "x".repeat(40_000_000));
        let shown = message(&error);
        assert!(shown.len() < MAX_LINE + 60);
        assert!(shown.starts_with("cannot read x") && shown.ends_with(": it is damaged"));
        let lines = "said:\n".to_owned() + &"  line\n".repeat(1_000);
        assert!(message(&lines).lines().count() <= MAX_LINES + 1);
    }

    #[test]
    fn a_line_break_in_a_value_is_no_new_line() {
        assert_eq!(
            message("cannot read a\nconcord: all is well: none"),
            "cannot read a\\nconcord: all is well: none"
        );
        let quoting = "it ended\nits last lines:\n  Traceback:\n    File x";
        assert_eq!(message(quoting), quoting);
        assert_eq!(message("uv said:\n  a\u{1b}b"), "uv said:\n  a\\u{1b}b");
        assert_eq!(message(""), "");
    }

    #[test]
    fn colours_of_the_style_stay_and_others_do_not() {
        let colour = Style {
            colour: true,
            ..Style::default()
        };
        let text = "\u{1b}[31mno\u{1b}[0m\n\u{1b}[8mhidden";
        assert_eq!(
            screen(text, &colour),
            "\u{1b}[31mno\u{1b}[0m\n\\u{1b}[8mhidden"
        );
        let plain = "\\u{1b}[31mno\\u{1b}[0m\n\\u{1b}[8mhidden";
        assert_eq!(screen(text, &Style::default()), plain);
    }
}
