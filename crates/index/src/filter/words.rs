//! The words of an expression.

use super::error::{Misread, ParseError};
use super::expression::{Comparison, KEYWORDS, Literal, is_of_a_name};

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// One of [`KEYWORDS`].
    Key(&'static str),
    Name(String),
    /// A number or a text.
    Value(Literal),
    Compare(Comparison),
    Open,
    Close,
    Comma,
}

/// The words of `text`, and at which character each begins, from 1.
pub(super) fn words_of(text: &str) -> Result<Vec<(usize, Word)>, ParseError> {
    let characters: Vec<char> = text.chars().collect();
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(&character) = characters.get(at) {
        if character.is_whitespace() {
            at += 1;
            continue;
        }
        let rest = &characters[at..];
        let (word, taken) = word_of(rest).map_err(|what| ParseError { at: at + 1, what })?;
        words.push((at + 1, word));
        at += taken;
    }
    Ok(words)
}

/// The word that `rest` begins with, and how many characters it has.
fn word_of(rest: &[char]) -> Result<(Word, usize), Misread> {
    let next = |at: usize| rest.get(at).copied().unwrap_or('\0');
    Ok(match next(0) {
        '(' => (Word::Open, 1),
        ')' => (Word::Close, 1),
        ',' => (Word::Comma, 1),
        '\'' => {
            let (text, taken) = quoted(rest)?;
            (Word::Value(Literal::Text(text)), taken)
        }
        '"' => {
            let (name, taken) = quoted(rest)?;
            (Word::Name(name), taken)
        }
        '=' => (Word::Compare(Comparison::Equal), 1),
        '!' if next(1) == '=' => (Word::Compare(Comparison::NotEqual), 2),
        '<' => match next(1) {
            '>' => (Word::Compare(Comparison::NotEqual), 2),
            '=' => (Word::Compare(Comparison::LessOrEqual), 2),
            _ => (Word::Compare(Comparison::Less), 1),
        },
        '>' => match next(1) {
            '=' => (Word::Compare(Comparison::GreaterOrEqual), 2),
            _ => (Word::Compare(Comparison::Greater), 1),
        },
        c if begins_a_number(c, next(1), next(2)) => number(rest)?,
        c if is_of_a_name(c, true) => {
            let name = rest.iter().take_while(|c| is_of_a_name(**c, false));
            let name: String = name.collect();
            let taken = name.chars().count();
            let key = KEYWORDS.iter().find(|key| key.eq_ignore_ascii_case(&name));
            (key.map_or(Word::Name(name), |key| Word::Key(key)), taken)
        }
        other => return Err(Misread::Character(other)),
    })
}

/// What is between two quotes, of which two behind each other stand for one; and how many characters that are.
fn quoted(rest: &[char]) -> Result<(String, usize), Misread> {
    let (quote, mut text, mut at) = (rest[0], String::new(), 1);
    while let Some(&character) = rest.get(at) {
        match (character == quote, rest.get(at + 1) == Some(&quote)) {
            (true, false) => return Ok((text, at + 1)),
            (true, true) => at += 2,
            (false, _) => at += 1,
        }
        text.push(character);
    }
    Err(Misread::Quote)
}

fn begins_a_number(first: char, second: char, third: char) -> bool {
    let digits = |a: char, b: char| a.is_ascii_digit() || a == '.' && b.is_ascii_digit();
    match first {
        '+' | '-' => digits(second, third),
        _ => digits(first, second),
    }
}

/// A number: an integer as long as 64 bits hold it, otherwise the nearest finite `f64`.
fn number(rest: &[char]) -> Result<(Word, usize), Misread> {
    let signed = |at: usize| matches!(rest[at], '+' | '-');
    let belongs = |at: usize| {
        let after_exponent = at > 0 && matches!(rest[at - 1], 'e' | 'E');
        rest[at] == '.'
            || is_of_a_name(rest[at], false)
            || signed(at) && (at == 0 || after_exponent)
    };
    let taken = (0..rest.len()).take_while(|&at| belongs(at)).count();
    let text: String = rest[..taken].iter().collect();
    let no_number = || Misread::Number(text.chars().take(40).collect());
    // Rust reads words as numbers too, such as infinity.
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E');
    if !text.chars().all(plain) {
        return Err(no_number());
    }
    let value = match text.parse::<i64>() {
        Ok(integer) => Literal::Integer(integer),
        Err(_) => match text.parse::<f64>() {
            Ok(real) if real.is_finite() => Literal::Real(real),
            _ => return Err(no_number()),
        },
    };
    Ok((Word::Value(value), taken))
}
