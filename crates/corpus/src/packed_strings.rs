//! Many strings in one allocation.

use std::ops::Range;

/// A growable list of strings: one `String` that holds them all and the offset where each ends.
///
/// Eight bytes per string beside its text, where a `Vec<String>` takes twenty-four and an
/// allocation each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PackedStrings {
    text: String,
    ends: Vec<usize>,
}

impl PackedStrings {
    /// Appends the concatenation of `parts` as one string.
    pub(crate) fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.push_str(part);
        }
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        self.span(index).map(|span| &self.text[span])
    }

    fn span(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)?;
        let start = match index {
            0 => 0,
            _ => self.ends[index - 1],
        };
        Some(start..end)
    }
}
