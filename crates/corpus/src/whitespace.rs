//! White space as Python's `str.strip()` understands it.

/// Whether `str.strip()` without arguments removes `c`: Unicode's `White_Space` and the four
/// information separators U+001C to U+001F (Python's `str.isspace`).
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `text.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

/// `text.rstrip()`.
pub(crate) fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_python_space)
}

/// Whether any character of `text` would end a field of a file whose fields end at white space.
pub(crate) fn contains_space(text: &str) -> bool {
    text.contains(is_python_space)
}
