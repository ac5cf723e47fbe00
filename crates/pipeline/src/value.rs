//! What one chunk of an artifact holds.

use concord_tensor::{BitHash, ByteHasher, Tensor};

use crate::manifest::{ChunkRecord, FieldRecord};

/// One chunk of an artifact: a tensor, or a few tensors under field names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Value {
    fields: Vec<(String, Tensor)>,
}

impl Value {
    /// A value of several tensors, each under its field name.
    pub fn of_fields<const N: usize>(fields: [(&str, Tensor); N]) -> Value {
        Value {
            fields: fields
                .into_iter()
                .map(|(name, t)| (name.to_owned(), t))
                .collect(),
        }
    }

    /// A value of tensors read back with their field names.
    pub(crate) fn from_parts(fields: Vec<(String, Tensor)>) -> Value {
        Value { fields }
    }

    /// The tensors with their field names; a single tensor has the empty name.
    pub fn fields(&self) -> &[(String, Tensor)] {
        &self.fields
    }

    /// The tensor of a field, where there is one of that name.
    pub fn field(&self, name: &str) -> Option<&Tensor> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, tensor)| tensor)
    }

    /// Dtypes, shapes and hashes of what this value holds.
    pub fn record(&self) -> ChunkRecord {
        let fields: Vec<FieldRecord> = self
            .fields
            .iter()
            .map(|(name, tensor)| FieldRecord {
                name: name.clone(),
                dtype: tensor.dtype(),
                shape: tensor.shape().to_vec(),
                hash: tensor.hash(),
            })
            .collect();
        ChunkRecord {
            hash: hash_of_fields(&fields),
            fields,
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value {
            fields: vec![(String::new(), tensor)],
        }
    }
}

/// The hash of a value: of its tensor where it is a single one, else SHA-256 over each field's name, a
/// zero byte, and the 32 bytes of the field's hash.
pub(crate) fn hash_of_fields(fields: &[FieldRecord]) -> BitHash {
    if let [only] = fields
        && only.name.is_empty()
    {
        return only.hash;
    }
    let mut hasher = ByteHasher::new();
    for field in fields {
        hasher.update(field.name.as_bytes());
        hasher.update(&[0]);
        hasher.update(field.hash.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_tensor_has_the_hash_of_the_tensor() {
        let tensor = Tensor::vector(vec![1.0f32, 2.0]);
        assert_eq!(Value::from(tensor.clone()).record().hash, tensor.hash());
    }

    #[test]
    fn the_names_of_fields_are_part_of_the_hash() {
        let (a, b) = (Tensor::scalar(1i64), Tensor::scalar(2i64));
        let value = Value::of_fields([("ids", a.clone()), ("lengths", b.clone())]);
        let renamed = Value::of_fields([("ids", a), ("length", b)]);
        assert_ne!(value.record().hash, renamed.record().hash);
        assert!(value.field("lengths").is_some() && value.field("nothing").is_none());
    }
}
