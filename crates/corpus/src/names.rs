//! Distinct strings, numbered in the order in which they came.

use std::hash::{BuildHasher, RandomState};

use crate::packed_strings::PackedStrings;

/// Nothing is in a slot.
const FREE: u32 = u32::MAX;

/// The most names: their numbers are `u32`s, of which one means that a slot is free.
const MAX_NAMES: usize = FREE as usize;

/// A growable set of strings that keeps their order.
///
/// Beside its text a name takes 8 bytes for where it ends and 4 to 11 for its slots, where a
/// `HashMap<String, usize>` takes a hundred: ids are as short as one character and as many as lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    names: PackedStrings,
    /// Open addressing with linear probing; a power of two of slots, at most three quarters taken.
    slots: Vec<u32>,
    hasher: RandomState,
}

/// There is no room for another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyNames {
    pub(crate) limit: u64,
}

impl Names {
    /// The number of `name`, which is added if it is new, and whether it is.
    pub(crate) fn number(&mut self, name: &str) -> Result<(usize, bool), TooManyNames> {
        if (self.names.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.slot(name);
        match self.slots[slot] {
            FREE if self.names.len() >= MAX_NAMES => Err(TooManyNames {
                limit: MAX_NAMES as u64,
            }),
            FREE => {
                let number = self.names.len();
                self.slots[slot] = number as u32;
                self.names.push(&[name]);
                Ok((number, true))
            }
            number => Ok((number as usize, false)),
        }
    }

    /// The number of `name`, if it is there.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let number = self.slots[self.slot(name)];
        (number != FREE).then_some(number as usize)
    }

    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        self.names.get(number)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number).unwrap_or_default())
    }

    /// Where `name` is, or where it belongs. There is always a free slot to end at.
    fn slot(&self, name: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(name) as usize & mask;
        loop {
            match self.slots[slot] {
                FREE => return slot,
                number if self.names.get(number as usize) == Some(name) => return slot,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(16);
        self.slots = vec![FREE; slots];
        for number in 0..self.names.len() {
            let slot = self.slot(self.names.get(number).unwrap_or_default());
            self.slots[slot] = number as u32;
        }
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Names) -> bool {
        self.names == other.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_while_the_table_grows() {
        let mut names = Names::default();
        assert_eq!(names.find("0"), None);
        for number in 0..1000 {
            assert_eq!(names.number(&number.to_string()), Ok((number, true)));
        }
        for number in 0..1000 {
            assert_eq!(names.number(&number.to_string()), Ok((number, false)));
            assert_eq!(names.find(&number.to_string()), Some(number));
        }
        assert_eq!(names.find("1000"), None);
        assert_eq!((names.len(), names.get(7)), (1000, Some("7")));
        assert!(names.iter().eq((0..1000).map(|number| number.to_string())));
    }
}
