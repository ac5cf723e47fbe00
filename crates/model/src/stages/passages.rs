//! The collection as a source of the graph.

use concord_corpus::Collection;
use concord_pipeline::artifact::{NUM_PASSAGES, PASSAGES};
use concord_pipeline::{Grid, Source, StageError, Value};
use concord_tensor::{BitHash, ByteHasher, Tensor};

/// The texts of the passages, chunk by chunk: the artifact `passages`.
pub struct Passages<'a> {
    collection: &'a Collection,
    grid: Grid,
}

impl<'a> Passages<'a> {
    pub fn new(collection: &'a Collection) -> Passages<'a> {
        Passages {
            collection,
            grid: Grid::new(collection.len()),
        }
    }

    /// The hash of all texts and where each ends: what identifies a collection.
    pub fn hash(&self) -> BitHash {
        let mut hasher = ByteHasher::new();
        for text in self.collection.iter() {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finish()
    }
}

impl Source for Passages<'_> {
    fn name(&self) -> &'static str {
        PASSAGES
    }

    fn chunks(&self) -> usize {
        self.grid.chunks()
    }

    fn value(&self, chunk: usize) -> Result<Value, StageError> {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for passage in self.collection.texts(self.grid.chunk(chunk)) {
            text.extend_from_slice(passage.as_bytes());
            ends.push(text.len() as i64);
        }
        Ok(Value::of_fields([
            ("text", Tensor::vector(text)),
            ("ends", Tensor::vector(ends)),
        ]))
    }
}

/// The texts that a chunk of the artifact `passages` holds.
pub(super) fn texts_of(text: &Tensor, ends: &Tensor) -> Result<Vec<String>, StageError> {
    let text = text.as_slice::<u8>()?;
    let mut start = 0;
    ends.as_slice::<i64>()?
        .iter()
        .map(|&end| {
            let end = usize::try_from(end)?;
            let passage = text
                .get(start..end)
                .ok_or("the ends of passages are out of order")?;
            start = end;
            Ok(String::from_utf8(passage.to_vec())?)
        })
        .collect()
}

/// The number of passages: the artifact `num_passages`.
pub fn count_of(collection: &Collection) -> impl Source + use<> {
    NumPassages(collection.len() as i64)
}

struct NumPassages(i64);

impl Source for NumPassages {
    fn name(&self) -> &'static str {
        NUM_PASSAGES
    }

    fn chunks(&self) -> usize {
        1
    }

    fn value(&self, _: usize) -> Result<Value, StageError> {
        Ok(Tensor::scalar(self.0).into())
    }
}
