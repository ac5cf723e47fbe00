//! The codes and residuals of an index, in the chunks that its files hold.

use std::ops::Range;

use super::mapped::Values;

/// What the embeddings of passages in a row are made of.
pub(crate) struct Chunk {
    /// The place of its first embedding among those of the index.
    pub(crate) first: usize,
    /// The centroid of each embedding.
    pub(crate) codes: Values<i32>,
    /// `(E, d·b/8)`.
    pub(crate) residuals: Values<u8>,
}

/// All chunks.
pub(crate) struct Chunks {
    chunks: Vec<Chunk>,
    /// The first passage of each chunk, and behind the last chunk the number of passages.
    passages: Vec<usize>,
    /// The passages of the first chunk; those of all others but the last, unless somebody cut them otherwise.
    usual: usize,
}

impl Chunks {
    /// `passages` has one more than there are chunks, of which there is one at least.
    pub(super) fn new(chunks: Vec<Chunk>, passages: Vec<usize>) -> Chunks {
        let usual = passages[1].max(1);
        Chunks {
            chunks,
            passages,
            usual,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }

    /// The codes and residuals, of `width` bytes each, of the embeddings of a passage, which lie at `places` of the index.
    pub(crate) fn of(&self, pid: u32, places: Range<usize>, width: usize) -> (&[i32], &[u8]) {
        let chunk = self.of_passage(pid);
        let places = places.start - chunk.first..places.end - chunk.first;
        let bytes = places.start * width..places.end * width;
        (&chunk.codes[places], &chunk.residuals[bytes])
    }

    /// The codes of the embeddings of a passage.
    pub(crate) fn codes(&self, pid: u32, places: Range<usize>) -> &[i32] {
        let chunk = self.of_passage(pid);
        &chunk.codes[places.start - chunk.first..places.end - chunk.first]
    }

    fn of_passage(&self, pid: u32) -> &Chunk {
        let pid = pid as usize;
        let likely = (pid / self.usual).min(self.chunks.len() - 1);
        if self.passages[likely] <= pid && pid < self.passages[likely + 1] {
            return &self.chunks[likely];
        }
        let behind = self.passages.partition_point(|&first| first <= pid);
        &self.chunks[behind - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_found_in_its_chunk_however_passages_were_cut() {
        for lengths in [&[3, 3, 3, 1][..], &[1, 5, 0, 2], &[0, 2, 0, 3], &[4]] {
            let (mut chunks, mut passages, mut first) = (Vec::new(), vec![0], 0);
            for &length in lengths {
                chunks.push(Chunk {
                    first,
                    codes: Values::Owned((first..first + length).map(|at| at as i32).collect()),
                    residuals: Values::Owned((first..first + length).map(|at| at as u8).collect()),
                });
                first += length;
                passages.push(first);
            }
            let chunks = Chunks::new(chunks, passages);
            for pid in 0..first {
                let place = pid..pid + 1;
                let found = chunks.of(pid as u32, place.clone(), 1);
                assert_eq!(found, (&[pid as i32][..], &[pid as u8][..]), "{lengths:?}");
                assert_eq!(chunks.codes(pid as u32, place), [pid as i32]);
            }
        }
    }
}
