//! How artifacts are written down: by dtype, shape and hash.

use concord_tensor::{BitHash, ByteHasher, DType};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The version of the manifests that indexes and runs carry.
///
/// In version 1, hashes were BLAKE3; since version 2 they are SHA-256.
pub const MANIFEST_VERSION: u32 = 2;

/// What a manifest of any version says about itself.
///
/// A reader takes this first and the rest only if it [is of](ManifestHead::is_of) the right kind: to
/// this program, the rest of another version would look like damage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ManifestHead {
    /// What it is a manifest of: `index` or `run`.
    pub concord: String,
    pub version: u32,
}

impl ManifestHead {
    /// Whether it is a manifest of that kind in the [version](MANIFEST_VERSION) this program reads.
    pub fn is_of(&self, kind: &str) -> bool {
        self.concord == kind && self.version == MANIFEST_VERSION
    }
}

/// One tensor of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldRecord {
    /// The name of the field; empty where the chunk is a single tensor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub dtype: DType,
    /// The shape, outermost dimension first.
    #[serde(deserialize_with = "few_dimensions")]
    pub shape: Vec<usize>,
    /// The hash of dtype, shape and bytes.
    pub hash: BitHash,
}

/// One chunk of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// The hash of the chunk, made of its fields'.
    pub hash: BitHash,
    pub fields: Vec<FieldRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// The name, one of [`crate::artifact`].
    pub name: String,
    /// The hash of the artifact, made of its chunks'.
    pub hash: BitHash,
    /// The hash of what it was made from: stage, settings and inputs. Absent for a source or a swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<BitHash>,
    /// Its chunks, in order.
    pub chunks: Vec<ChunkRecord>,
}

impl ArtifactRecord {
    /// The record of an artifact made of `chunks`, each from what `made_from` says.
    pub fn new(name: &str, chunks: Vec<ChunkRecord>, made_from: &[Option<BitHash>]) -> Self {
        let known: Option<Vec<BitHash>> = made_from.iter().copied().collect();
        ArtifactRecord {
            name: name.to_owned(),
            hash: hash_in_order(chunks.iter().map(|chunk| chunk.hash)),
            made_from: known.map(|keys| hash_in_order(keys.into_iter())),
            chunks,
        }
    }

    /// How many rows a field has over all chunks; `None` if there is no such field.
    pub fn rows(&self, field: &str) -> Option<usize> {
        let (_, shape) = self.total_shape(field)?;
        shape.first().copied()
    }

    /// The shape of one field over all chunks: rows added up, the rest as in the first chunk.
    pub fn total_shape(&self, field: &str) -> Option<(DType, Vec<usize>)> {
        let mut parts = self
            .chunks
            .iter()
            .flat_map(|c| &c.fields)
            .filter(|part| part.name == field);
        let first = parts.next()?;
        let mut shape = first.shape.clone();
        for part in parts {
            if let (Some(rows), Some(more)) = (shape.first_mut(), part.shape.first()) {
                *rows = rows.saturating_add(*more);
            }
        }
        Some((first.dtype, shape))
    }
}

/// One hash for several in order; for a single one, itself.
pub(crate) fn hash_in_order(mut hashes: impl Iterator<Item = BitHash>) -> BitHash {
    let (first, second) = (hashes.next(), hashes.next());
    match (first, second) {
        (Some(only), None) => only,
        _ => {
            let mut hasher = ByteHasher::new();
            for hash in first.into_iter().chain(second).chain(hashes) {
                hasher.update(hash.as_bytes());
            }
            hasher.finish()
        }
    }
}

/// No tensor of ours has more dimensions, nor has PyTorch.
const MAX_DIMENSIONS: usize = 64;

/// Reads a shape, and not more of it than one can have: two bytes of text make eight in memory.
fn few_dimensions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Shape;

    impl<'de> Visitor<'de> for Shape {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "at most {MAX_DIMENSIONS} sizes of dimensions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Vec<usize>, A::Error> {
            let mut shape = Vec::new();
            while let Some(size) = sizes.next_element()? {
                if shape.len() == MAX_DIMENSIONS {
                    return Err(A::Error::invalid_length(MAX_DIMENSIONS + 1, &self));
                }
                shape.push(size);
            }
            Ok(shape)
        }
    }

    deserializer.deserialize_seq(Shape)
}
