//! The text whose hash says what an artifact was made from.

use concord_tensor::{BitHash, ByteHasher};

use crate::declaration::Field;
use crate::setting::Setting;

/// The version of the text. It is part of it, so that work of another version is not taken for work of this one.
///
/// In version 2, settings are named and written out one by one, and inputs are named by field.
const VERSION: u32 = 2;

/// What the outputs of one call of a stage follow from.
pub(crate) struct MadeFrom<'a> {
    pub stage: &'a str,
    pub settings: &'a [Setting],
    /// The fields that are read, each with the hash of what is read of it.
    pub inputs: &'a [(Field, BitHash)],
    /// The number of the chunk, where nothing else tells the call from that for another chunk.
    pub chunk: Option<usize>,
}

impl MadeFrom<'_> {
    pub(crate) fn hash(&self) -> BitHash {
        let mut hasher = ByteHasher::new();
        hasher.update(self.text().as_bytes());
        hasher.finish()
    }

    fn text(&self) -> String {
        let mut text = format!("made from {VERSION}\nstage {}\n", self.stage);
        for setting in self.settings {
            text.push_str(&format!("setting {setting}\n"));
        }
        for (field, hash) in self.inputs {
            text.push_str(&format!("input {field} {hash}\n"));
        }
        if let Some(chunk) = self.chunk {
            text.push_str(&format!("chunk {chunk}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_named_and_written_out() {
        let hash = BitHash::of_bytes(b"values");
        let made_from = MadeFrom {
            stage: "cluster",
            settings: &[
                Setting::new("kmeans_niters", 4),
                Setting::new("normalize", "rsqrt"),
            ],
            inputs: &[
                (Field::new("plan", "num_partitions"), hash),
                (Field::only("sample"), hash),
            ],
            chunk: Some(3),
        };
        let expected = format!(
            "made from 2\nstage cluster\nsetting kmeans_niters=4\nsetting normalize=rsqrt\n\
             input plan.num_partitions {hash}\ninput sample {hash}\nchunk 3\n"
        );
        assert_eq!(made_from.text(), expected);
        assert_eq!(made_from.hash(), BitHash::of_bytes(expected.as_bytes()));
    }
}
