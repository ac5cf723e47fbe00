//! Batches that are made up so that they differ in one thing alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What of a batch can decide what a module computes of one of its passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The rows of the batch: its passages times its padded length; of an engine that does not pad, its tokens.
    Rows,
    /// The padded length, the passages being as many and each in its place.
    PaddedLength,
    /// The number of passages, each being in its place and padded as far.
    Passages,
    /// No single one of these: several, or they could not be told apart.
    Either,
    /// The place of the passage in the batch, the batch being as large.
    Place,
    /// The other passages, the batch being as large and the passage in its place.
    Neighbours,
}

/// What a passage's batch is like, and where in it the passage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    /// Every passage is padded.
    Padded {
        passages: usize,
        /// The tokens that each is padded to.
        tokens: usize,
        /// How many passages come before it.
        place: usize,
    },
    /// The tokens of all passages lie one behind the other.
    Packed {
        rows: usize,
        /// How many rows come before its own.
        place: usize,
    },
}

impl Setting {
    /// The dimensions in which two settings of one kind differ.
    pub fn differing(self, other: Setting) -> Vec<Dimension> {
        let all = [
            Dimension::Rows,
            Dimension::PaddedLength,
            Dimension::Passages,
            Dimension::Place,
        ];
        let all = all.into_iter();
        all.filter(|&dimension| self.with(dimension, other) != self)
            .collect()
    }

    /// The same with one dimension of another setting; as it is where settings of its kind have no such dimension.
    pub fn with(self, dimension: Dimension, of: Setting) -> Setting {
        let mut changed = self;
        match (&mut changed, of) {
            (
                Setting::Padded {
                    passages,
                    tokens,
                    place,
                },
                Setting::Padded {
                    passages: other_passages,
                    tokens: other_tokens,
                    place: other_place,
                },
            ) => match dimension {
                Dimension::Passages => *passages = other_passages,
                Dimension::PaddedLength => *tokens = other_tokens,
                Dimension::Place => *place = other_place,
                Dimension::Rows | Dimension::Either | Dimension::Neighbours => (),
            },
            (
                Setting::Packed { rows, place },
                Setting::Packed {
                    rows: other_rows,
                    place: other_place,
                },
            ) => match dimension {
                Dimension::Rows => *rows = other_rows,
                Dimension::Place => *place = other_place,
                _ => (),
            },
            _ => (),
        }
        changed
    }

    pub fn rows(self) -> usize {
        match self {
            Setting::Padded {
                passages, tokens, ..
            } => passages.saturating_mul(tokens),
            Setting::Packed { rows, .. } => rows,
        }
    }

    /// Passages, padded length and place, where there is padding.
    pub fn in_padding(self) -> Option<(usize, usize, usize)> {
        match self {
            Setting::Padded {
                passages,
                tokens,
                place,
            } => Some((passages, tokens, place)),
            Setting::Packed { .. } => None,
        }
    }

    /// The tokens that passages are padded to, where they are.
    pub fn padded(self) -> Option<usize> {
        self.in_padding().map(|(_, tokens, _)| tokens)
    }
}

/// The passages that batches are made of.
pub(super) struct Others<'a> {
    /// The tokens of each.
    pub tokens: &'a BTreeMap<usize, usize>,
    /// As many tokens as a passage can be padded to.
    pub positions: usize,
}

impl Others<'_> {
    pub fn count(&self) -> usize {
        self.tokens.len()
    }

    /// A batch that is like `setting` for a passage, or `None` where none can be made. Padded batches for one passage and
    /// for one `fitting` have the same other passages, in their order, as far as there are places for them: those
    /// that have no more than `fitting` tokens.
    pub fn around(&self, pid: usize, setting: Setting, fitting: usize) -> Option<Vec<usize>> {
        let own = *self.tokens.get(&pid)?;
        let others = self.tokens.iter().filter(|(other, _)| **other != pid);
        let others = others.map(|(pid, tokens)| (*pid, *tokens));
        match setting {
            Setting::Padded {
                passages,
                tokens,
                place,
            } => {
                let fits = own <= tokens && fitting <= tokens && tokens <= self.positions;
                let others = others.filter(|(_, tokens)| *tokens <= fitting);
                let count = passages.checked_sub(1)?;
                let mut batch: Vec<usize> = others.map(|(pid, _)| pid).take(count).collect();
                let fits = fits && batch.len() == count && place <= count;
                fits.then(|| {
                    batch.insert(place, pid);
                    batch
                })
            }
            Setting::Packed { rows, place } => {
                let after = rows.checked_sub(place)?.checked_sub(own)?;
                let mut others: Vec<(usize, usize)> = others.collect();
                let mut batch = with_tokens(&others, place)?;
                others.retain(|(other, _)| !batch.contains(other));
                let behind = with_tokens(&others, after)?;
                batch.push(pid);
                batch.extend(behind);
                Some(batch)
            }
        }
    }
}

/// Some of these passages, given with their tokens, that have exactly so many tokens together.
fn with_tokens(passages: &[(usize, usize)], tokens: usize) -> Option<Vec<usize>> {
    // For each number of tokens the passage that was the last to make it; it is made of earlier ones beside it.
    let mut last: Vec<Option<usize>> = vec![None; tokens + 1];
    for (place, &(_, own)) in passages.iter().enumerate() {
        if last[tokens].is_some() {
            break;
        }
        for sum in (own.max(1)..=tokens).rev() {
            let is_made = sum == own || last[sum - own].is_some();
            if is_made && last[sum].is_none() {
                last[sum] = Some(place);
            }
        }
    }
    let (mut found, mut rest) = (Vec::new(), tokens);
    while rest > 0 {
        let (pid, own) = passages[last[rest]?];
        found.push(pid);
        rest -= own;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_found_that_have_so_many_tokens_together() {
        let passages: Vec<(usize, usize)> = [7, 3, 9, 5, 5].into_iter().enumerate().collect();
        for tokens in [0, 3, 7, 8, 10, 17, 24, 29] {
            let found = with_tokens(&passages, tokens).unwrap();
            let sum: usize = found.iter().map(|pid| passages[*pid].1).sum();
            assert_eq!(sum, tokens);
            let mut once = found.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), found.len());
        }
        for tokens in [1, 4, 6, 28, 30] {
            assert_eq!(with_tokens(&passages, tokens), None);
        }
    }

    #[test]
    fn a_padded_batch_keeps_the_passage_in_its_place_among_the_same_others() {
        let tokens = BTreeMap::from([(0, 4), (1, 9), (2, 5), (3, 5), (4, 6), (5, 3)]);
        let others = Others {
            tokens: &tokens,
            positions: 20,
        };
        let setting = |passages, tokens, place| Setting::Padded {
            passages,
            tokens,
            place,
        };
        let settings = [setting(3, 6, 1), setting(5, 9, 3)];
        let around = |made| others.around(2, made, 6);
        assert_eq!(around(settings[0]), Some(vec![0, 2, 3]));
        assert_eq!(around(settings[1]), Some(vec![0, 3, 4, 2, 5]));
        assert_eq!(around(setting(3, 20, 1)), Some(vec![0, 2, 3]));
        // No such place, too far, not far enough for the others, too many.
        for made in [
            setting(3, 6, 3),
            setting(3, 21, 1),
            setting(3, 5, 1),
            setting(6, 9, 1),
        ] {
            assert_eq!(around(made), None);
        }
    }

    #[test]
    fn a_packed_batch_has_the_rows_before_the_passage_and_in_all() {
        let tokens = BTreeMap::from([(0, 4), (1, 9), (2, 5), (3, 5), (4, 6), (5, 3)]);
        let others = Others {
            tokens: &tokens,
            positions: 20,
        };
        let around = |rows, place| {
            let setting = Setting::Packed { rows, place };
            others.around(2, setting, 0)
        };
        for (rows, place) in [(5, 0), (12, 4), (32, 9), (32, 27)] {
            let batch = around(rows, place).unwrap();
            let at = batch.iter().position(|&pid| pid == 2).unwrap();
            let sum = |pids: &[usize]| pids.iter().map(|pid| tokens[pid]).sum::<usize>();
            assert_eq!((sum(&batch), sum(&batch[..at])), (rows, place));
        }
        assert_eq!(around(7, 3), None);
        assert_eq!(around(33, 9), None);
    }
}
