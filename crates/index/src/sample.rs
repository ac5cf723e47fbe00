//! What centroids and buckets are learned from: sampled passages, their embeddings, and the split of these.

use half::f16;

use crate::plan::heldout_rows;
use crate::random::{permutation, python_sample};
use crate::rows::{self, NotRows};

/// The length that the reference takes passages to have before it has seen any.
const TYPICAL_DOCLEN: f64 = 120.0;

/// The passages that are sampled of so many, ascending: `min(1 + ⌊16·√(120·passages)⌋, passages)` of them, drawn
/// by Python's generator.
pub fn sampled_pids(seed: u32, passages: u32) -> Vec<i64> {
    let count = (1 + (16.0 * (TYPICAL_DOCLEN * f64::from(passages)).sqrt()) as u64)
        .min(u64::from(passages)) as u32;
    let drawn = python_sample(seed, passages, count).into_iter();
    let mut pids: Vec<i64> = drawn.map(i64::from).collect();
    pids.sort_unstable();
    pids
}

/// Why the embeddings of a sample cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The embeddings are not those of the passages.
    #[error(
        "passages {first} to {last} have {listed} embeddings by `doclens`, and `embs` has {found}"
    )]
    Lengths {
        /// The first passage of the chunk.
        first: i64,
        last: i64,
        /// The sum of their lengths.
        listed: i64,
        found: usize,
    },
    #[error(transparent)]
    Rows(#[from] NotRows),
}

/// The embeddings of sampled passages, picked out of those of all passages chunk by chunk.
pub struct PassageSample<'a> {
    wanted: std::iter::Peekable<std::iter::Copied<std::slice::Iter<'a, i64>>>,
    next_pid: i64,
    sampled: Sampled,
}

/// The embeddings of sampled passages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampled {
    /// `(tokens, width)`, in the order of pids.
    pub rows: Vec<f16>,
    /// The dimensions of an embedding; 0 where there were no passages.
    pub width: usize,
    /// How many embeddings there are.
    pub tokens: u64,
}

impl<'a> PassageSample<'a> {
    /// Of the passages `pids`, which ascend.
    pub fn of(pids: &'a [i64]) -> PassageSample<'a> {
        PassageSample {
            wanted: pids.iter().copied().peekable(),
            next_pid: 0,
            sampled: Sampled::default(),
        }
    }

    /// Takes what is wanted of the next passages: their embeddings `(tokens, width)` and how many of them each
    /// passage has.
    ///
    /// # Errors
    /// When the lengths do not add up to the embeddings.
    pub fn add(&mut self, embs: &[f16], width: usize, doclens: &[i64]) -> Result<(), SampleError> {
        let found = rows::count(embs.len(), width)?;
        let listed = doclens
            .iter()
            .fold(0, |sum: i64, &doclen| sum.saturating_add(doclen));
        if usize::try_from(listed) != Ok(found) || doclens.iter().any(|&doclen| doclen < 0) {
            return Err(SampleError::Lengths {
                first: self.next_pid,
                last: self.next_pid + doclens.len() as i64 - 1,
                listed,
                found,
            });
        }
        self.sampled.width = width;
        let mut first = 0;
        for &doclen in doclens {
            let last = first + doclen as usize;
            if self.wanted.next_if_eq(&self.next_pid).is_some() {
                let own = &embs[first * width..last * width];
                self.sampled.rows.extend_from_slice(own);
                self.sampled.tokens += doclen as u64;
            }
            first = last;
            self.next_pid += 1;
        }
        Ok(())
    }

    pub fn finish(self) -> Sampled {
        self.sampled
    }
}

/// A sample `(n, width)`, shuffled by torch's permutation: the rows to train centroids with, and those held out
/// for the buckets, which are the last [`heldout_rows`] of them.
///
/// # Errors
/// When `sample` is no whole number of rows.
pub fn shuffle_and_split(
    seed: u32,
    sample: &[f16],
    width: usize,
) -> Result<(Vec<f16>, Vec<f16>), NotRows> {
    let count = rows::count(sample.len(), width)?;
    let mut training = rows::gather(sample, width, &permutation(seed, count));
    let heldout = training.split_off((count - heldout_rows(count)) * width);
    Ok((training, heldout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: std::ops::Range<usize>) -> Vec<f16> {
        range.map(|i| f16::from_f32(i as f32)).collect()
    }

    #[test]
    fn sampled_passages_ascend_and_are_all_of_a_small_collection() {
        assert_eq!(sampled_pids(12345, 5), [0, 1, 2, 3, 4]);
        let pids = sampled_pids(12345, 100_000);
        assert_eq!(pids.len(), 1 + 55_425);
        assert!(pids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_ne!(pids, sampled_pids(12346, 100_000));
    }

    #[test]
    fn the_rows_of_sampled_passages_are_taken_across_chunks() {
        let mut sample = PassageSample::of(&[0, 2, 3]);
        sample.add(&numbers(0..8), 2, &[1, 3]).unwrap();
        sample.add(&numbers(8..16), 2, &[2, 0, 2]).unwrap();
        let sampled = sample.finish();
        assert_eq!(sampled.rows, [numbers(0..2), numbers(8..12)].concat());
        assert_eq!((sampled.width, sampled.tokens), (2, 3));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_told_with_their_passages() {
        let mut sample = PassageSample::of(&[0]);
        sample.add(&numbers(0..4), 2, &[2]).unwrap();
        let error = sample.add(&numbers(0..4), 2, &[1, 2]).unwrap_err();
        let expected = SampleError::Lengths {
            first: 1,
            last: 2,
            listed: 3,
            found: 2,
        };
        assert_eq!(error, expected);
        assert!(sample.add(&numbers(0..4), 2, &[3, -1]).is_err());
        let error = sample.add(&numbers(0..3), 2, &[1]).unwrap_err();
        assert_eq!(
            error,
            SampleError::Rows(NotRows {
                values: 3,
                width: 2
            })
        );
    }

    #[test]
    fn a_split_loses_no_row_and_holds_a_twentieth_out() {
        let (training, heldout) = shuffle_and_split(7, &numbers(0..200), 2).unwrap();
        assert_eq!((training.len(), heldout.len()), (190, 10));
        let mut all = [training, heldout].concat();
        all.sort_by(f16::total_cmp);
        assert_eq!(all, numbers(0..200));
        assert!(shuffle_and_split(7, &numbers(0..3), 2).is_err());
        assert!(shuffle_and_split(7, &[], 0).is_err());
    }
}
