//! The inverted file: which passages have an embedding near which centroid.

/// The inverted file of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvertedFile {
    /// The codes of all embeddings in ascending order: `(E,)`.
    pub values: Vec<i64>,
    /// The passages of each centroid, ascending and once each, one centroid after another.
    pub pids: Vec<i32>,
    /// How many passages each centroid has: `(C,)`.
    pub lengths: Vec<i64>,
}

/// Why codes cannot be inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvertError {
    #[error("passage {pid} has code {code}, but there are {centroids} centroids")]
    Code {
        pid: i32,
        code: i32,
        /// How many centroids there are.
        centroids: usize,
    },
    /// The lengths of the passages do not add up to the codes.
    #[error(
        "passages from {pid} on have {listed} embeddings by `doclens`, and there are {found} codes"
    )]
    Lengths {
        /// The first of the passages.
        pid: i32,
        /// The sum of their lengths.
        listed: i64,
        /// How many codes there are.
        found: usize,
    },
    /// There are more passages than numbers for them.
    #[error("there are more passages than an index numbers (2^31)")]
    TooManyPassages,
}

/// The inverted file of `codes` `(E,)`, of which each passage has as many as `doclens` `(N,)` say, among
/// so many centroids.
///
/// # Errors
/// [`InvertError`].
pub fn invert(
    codes: &[i32],
    doclens: &[i64],
    centroids: usize,
) -> Result<InvertedFile, InvertError> {
    let mut inverter = Inverter::new(centroids);
    inverter.add(codes, doclens)?;
    Ok(inverter.finish())
}

/// An inverted file while it is made, chunk by chunk.
pub struct Inverter {
    counts: Vec<usize>,
    passages: Vec<Vec<i32>>,
    next_pid: i32,
}

impl Inverter {
    /// Of no passages yet.
    pub fn new(centroids: usize) -> Inverter {
        Inverter {
            counts: vec![0; centroids],
            passages: vec![Vec::new(); centroids],
            next_pid: 0,
        }
    }

    /// Adds the next passages: their codes, and how many of them each has.
    ///
    /// # Errors
    /// [`InvertError`]; what was added before it stays.
    pub fn add(&mut self, codes: &[i32], doclens: &[i64]) -> Result<(), InvertError> {
        let listed = doclens
            .iter()
            .fold(0, |sum: i64, &doclen| sum.saturating_add(doclen));
        if usize::try_from(listed) != Ok(codes.len()) || doclens.iter().any(|&doclen| doclen < 0) {
            return Err(InvertError::Lengths {
                pid: self.next_pid,
                listed,
                found: codes.len(),
            });
        }
        let centroids = self.counts.len();
        let mut codes = codes.iter();
        for &doclen in doclens {
            let pid = self.next_pid;
            for &code in codes.by_ref().take(doclen as usize) {
                let place = usize::try_from(code).ok().filter(|&at| at < centroids);
                let place = place.ok_or(InvertError::Code {
                    pid,
                    code,
                    centroids,
                })?;
                self.counts[place] += 1;
                if self.passages[place].last() != Some(&pid) {
                    self.passages[place].push(pid);
                }
            }
            self.next_pid = pid.checked_add(1).ok_or(InvertError::TooManyPassages)?;
        }
        Ok(())
    }

    /// The inverted file of all that was added.
    pub fn finish(self) -> InvertedFile {
        let counts = self.counts.iter().enumerate();
        InvertedFile {
            values: counts
                .flat_map(|(code, &count)| std::iter::repeat_n(code as i64, count))
                .collect(),
            lengths: self.passages.iter().map(|pids| pids.len() as i64).collect(),
            pids: self.passages.concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_listed_once_under_each_of_its_centroids() {
        let inverted = invert(&[2, 0, 2, 2, 0, 3], &[3, 0, 2, 1], 5).unwrap();
        assert_eq!(inverted.values, [0, 0, 2, 2, 2, 3]);
        assert_eq!(inverted.pids, [0, 2, 0, 2, 3]);
        assert_eq!(inverted.lengths, [2, 0, 2, 1, 0]);
    }

    #[test]
    fn chunks_are_cut_where_they_are_and_nothing_changes() {
        let mut inverter = Inverter::new(5);
        inverter.add(&[2, 0, 2], &[3, 0]).unwrap();
        inverter.add(&[2, 0, 3], &[2, 1]).unwrap();
        let whole = invert(&[2, 0, 2, 2, 0, 3], &[3, 0, 2, 1], 5).unwrap();
        assert_eq!(inverter.finish(), whole);
    }

    #[test]
    fn a_code_of_no_centroid_is_told_with_its_passage() {
        for code in [5, -1] {
            let error = invert(&[0, code], &[1, 1], 5).unwrap_err();
            let expected = format!("passage 1 has code {code}, but there are 5 centroids");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_to_the_codes_are_refused() {
        for doclens in [&[1i64][..], &[3], &[3, -1], &[]] {
            let error = invert(&[0, 1], doclens, 5).unwrap_err();
            assert!(
                matches!(error, InvertError::Lengths { found: 2, .. }),
                "{doclens:?}"
            );
        }
    }
}
