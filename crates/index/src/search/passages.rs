//! Sets of passages.

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Some of an index's passages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageSet {
    words: Vec<u64>,
    len: usize,
}

/// A pid that no passage of the index has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no passage {pid}: the index has {passages}, from 0 on")]
pub struct UnknownPassage {
    pub pid: u32,
    /// How many passages there are.
    pub passages: usize,
}

impl PassageSet {
    /// The passages of these pids, each counted once, of an index of so many `passages`.
    ///
    /// # Errors
    /// When there is no passage of a pid.
    pub fn of(
        pids: impl IntoIterator<Item = u32>,
        passages: usize,
    ) -> Result<PassageSet, UnknownPassage> {
        let mut words = vec![0; passages.div_ceil(BITS)];
        for pid in pids {
            if pid as usize >= passages {
                return Err(UnknownPassage { pid, passages });
            }
            insert(&mut words, pid);
        }
        let len = words.iter().map(|word| word.count_ones() as usize).sum();
        Ok(PassageSet { words, len })
    }

    /// No passage, of an index of so many.
    pub fn none(passages: usize) -> PassageSet {
        PassageSet {
            words: vec![0; passages.div_ceil(BITS)],
            len: 0,
        }
    }

    /// Keeps those that are in `other` as well.
    pub fn keep(&mut self, other: &PassageSet) {
        self.joined(other, |own, other| own & other);
    }

    /// Adds those of `other`, a set of passages of the same index.
    pub fn add(&mut self, other: &PassageSet) {
        self.joined(other, |own, other| own | other);
    }

    /// Takes those of `other` out.
    pub fn remove(&mut self, other: &PassageSet) {
        self.joined(other, |own, other| own & !other);
    }

    fn joined(&mut self, other: &PassageSet, join: impl Fn(u64, u64) -> u64) {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        self.len = 0;
        for (word, other) in self.words.iter_mut().zip(others) {
            *word = join(*word, *other);
            self.len += word.count_ones() as usize;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn contains(&self, pid: u32) -> bool {
        let word = self.words.get(pid as usize / BITS);
        word.is_some_and(|word| word >> (pid as usize % BITS) & 1 == 1)
    }

    /// Takes those out of `words` that are not in the set.
    pub(super) fn keep_in(&self, words: &mut [u64]) {
        let kept = self.words.iter().chain(std::iter::repeat(&0));
        for (word, kept) in words.iter_mut().zip(kept) {
            *word &= kept;
        }
    }
}

/// Sets the bit of `id`.
pub(super) fn insert(words: &mut [u64], id: u32) {
    words[id as usize / BITS] |= 1 << (id as usize % BITS);
}

/// The numbers of the bits that are set, ascending.
pub(super) fn ids(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    words.iter().enumerate().flat_map(|(at, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some((at * BITS) as u32 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_made_of_and_refuses_what_there_is_not() {
        let set = PassageSet::of([3, 64, 3, 130], 131).unwrap();
        assert_eq!(set.len(), 3);
        assert!(set.contains(64) && set.contains(130) && !set.contains(65) && !set.contains(999));
        let error = PassageSet::of([131], 131).unwrap_err();
        assert_eq!(error.pid, 131);
        assert!(PassageSet::of([], 0).unwrap().is_empty());
    }

    #[test]
    fn bits_come_back_in_their_order() {
        let mut words = vec![0; 3];
        for id in [191, 0, 63, 64, 100] {
            insert(&mut words, id);
        }
        assert_eq!(ids(&words).collect::<Vec<_>>(), [0, 63, 64, 100, 191]);
        PassageSet::of([63, 100], 150).unwrap().keep_in(&mut words);
        assert_eq!(ids(&words).collect::<Vec<_>>(), [63, 100]);
    }
}
