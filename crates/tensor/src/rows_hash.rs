//! The hash of some rows, of which there are very many.

use std::fmt;
use std::str::FromStr;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dtype::DType;
use crate::hash::{BitHash, TensorHasher, hexadecimal};

/// By which rule a [`RowsHash`] was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashRule {
    /// That of [`BitHash`], for the tensor `(rows, width)`. Runs have it that were recorded before there was
    /// another.
    Sha256,
    /// BLAKE2b with a result of 32 bytes over the elements in row-major order, little-endian. The salt is the
    /// number of rows and the width, each an unsigned 64-bit little-endian integer; the personalisation is the
    /// dtype's [name](DType::name) in ASCII.
    Blake2b,
}

impl HashRule {
    /// What stands before the digits.
    const fn prefix(self) -> &'static str {
        match self {
            HashRule::Sha256 => "sha256:",
            HashRule::Blake2b => "blake2b-256:",
        }
    }
}

/// The hash of rows of one width: of dtype, shape `(rows, width)` and bits.
///
/// What modules compute is as large as everything else together many times over, so its hash has a rule of its
/// own. BLAKE2b is in the standard library of every Python, like SHA-256; it needs no instructions of its own,
/// where SHA-256 without them takes five times as long; and several inputs are hashed side by side in a core's
/// vectors, which is faster than SHA-256 with its instructions.
///
/// Two hashes by one rule are equal exactly if the rows are. Two by different rules say nothing, which
/// [`same_as`](RowsHash::same_as) heeds and `==` does not.
///
/// Text and JSON show it as the rule's name, a colon and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowsHash {
    rule: HashRule,
    bytes: [u8; 32],
}

impl RowsHash {
    /// The hash of a tensor of this dtype and shape `[rows, width]` by today's rule. Its elements are given as
    /// little-endian bytes; that they are as many as the shape says is the caller's to see to.
    pub fn of(dtype: DType, shape: [usize; 2], bytes: &[u8]) -> RowsHash {
        RowsHash::blake2b(params(dtype, shape).hash(bytes).as_bytes())
    }

    /// The hash of each of several pieces, given as the number of rows and their bytes. It is faster than one
    /// after the other: best are [`RowsHash::SIDE_BY_SIDE`] of equal size, or a multiple of that.
    pub fn of_each<'a>(
        dtype: DType,
        width: usize,
        pieces: impl IntoIterator<Item = (usize, &'a [u8])>,
    ) -> Vec<RowsHash> {
        let pieces = pieces.into_iter();
        let mut jobs: Vec<_> = pieces
            .map(|(rows, bytes)| HashManyJob::new(&params(dtype, [rows, width]), bytes))
            .collect();
        hash_many(&mut jobs);
        let hashes = jobs.iter().map(HashManyJob::to_hash);
        hashes
            .map(|hash| RowsHash::blake2b(hash.as_bytes()))
            .collect()
    }

    /// How many are hashed side by side on processors of today.
    pub const SIDE_BY_SIDE: usize = 4;

    /// The hash of a tensor by a rule that is given.
    pub fn by(rule: HashRule, dtype: DType, shape: [usize; 2], bytes: &[u8]) -> RowsHash {
        match rule {
            HashRule::Blake2b => RowsHash::of(dtype, shape, bytes),
            HashRule::Sha256 => {
                let mut hasher = TensorHasher::new(dtype, &shape);
                hasher.update(bytes);
                hasher.finish().into()
            }
        }
    }

    /// With the 32 bytes of a BLAKE2b hash of that length.
    fn blake2b(bytes: &[u8]) -> RowsHash {
        RowsHash {
            rule: HashRule::Blake2b,
            bytes: std::array::from_fn(|place| bytes[place]),
        }
    }

    pub const fn rule(&self) -> HashRule {
        self.rule
    }

    /// Whether the rows of both are the same; `None` where the hashes are by different rules.
    pub fn same_as(&self, other: &RowsHash) -> Option<bool> {
        (self.rule == other.rule).then(|| self.bytes == other.bytes)
    }
}

fn params(dtype: DType, [rows, width]: [usize; 2]) -> Params {
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&(rows as u64).to_le_bytes());
    salt[8..].copy_from_slice(&(width as u64).to_le_bytes());
    let mut params = Params::new();
    params
        .hash_length(32)
        .salt(&salt)
        .personal(dtype.name().as_bytes());
    params
}

impl From<BitHash> for RowsHash {
    /// The hash of a tensor of rows.
    fn from(hash: BitHash) -> RowsHash {
        RowsHash {
            rule: HashRule::Sha256,
            bytes: *hash.as_bytes(),
        }
    }
}

impl fmt::Display for RowsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule.prefix())?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RowsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a hash of rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a hash: expected \"blake2b-256:\" or \"sha256:\" and 64 lower-case hexadecimal digits"
)]
pub struct ParseRowsHashError(pub String);

impl FromStr for RowsHash {
    type Err = ParseRowsHashError;

    fn from_str(text: &str) -> Result<RowsHash, ParseRowsHashError> {
        let by = |rule: HashRule| {
            let bytes = hexadecimal(text.strip_prefix(rule.prefix())?)?;
            Some(RowsHash { rule, bytes })
        };
        by(HashRule::Blake2b)
            .or_else(|| by(HashRule::Sha256))
            .ok_or_else(|| ParseRowsHashError(text.to_owned()))
    }
}

impl Serialize for RowsHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 80];
        let prefix = self.rule.prefix().as_bytes();
        text[..prefix.len()].copy_from_slice(prefix);
        let mut end = prefix.len();
        for byte in self.bytes {
            text[end] = b"0123456789abcdef"[usize::from(byte >> 4)];
            text[end + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
            end += 2;
        }
        match std::str::from_utf8(&text[..end]) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for RowsHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RowsHash, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = RowsHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the hash of rows")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RowsHash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    fn numbers(rows: usize, width: usize) -> Tensor {
        let values = (0..rows * width).map(|i| i as f32).collect::<Vec<_>>();
        Tensor::new(vec![rows, width], values).unwrap()
    }

    /// What `hashlib.blake2b(struct.pack("<6f", *range(6)), digest_size=32, salt=struct.pack("<QQ", 2, 3),
    /// person=b"f32").hexdigest()` is in Python.
    #[test]
    fn rows_hash_as_in_python() {
        let tensor = numbers(2, 3);
        let hash = RowsHash::of(DType::F32, [2, 3], tensor.bytes());
        let expected =
            "blake2b-256:a001573d26d53338b6eaba9673618aef5ad17a5ee7b9a493d3757f534e9b6859";
        assert_eq!(hash.to_string(), expected);
        assert_eq!(expected.parse(), Ok(hash));
        assert_eq!(
            serde_json::to_string(&hash).unwrap(),
            format!("\"{expected}\"")
        );
    }

    #[test]
    fn pieces_side_by_side_hash_as_they_do_alone() {
        let tensor = numbers(40, 97);
        let row = 97 * 4;
        for sizes in [
            vec![],
            vec![1],
            vec![3, 0, 9],
            vec![7; 5],
            vec![1, 2, 3, 4, 5, 6, 7],
        ] {
            let mut first = 0;
            let mut pieces = Vec::new();
            for rows in sizes {
                pieces.push((rows, &tensor.bytes()[first * row..(first + rows) * row]));
                first += rows;
            }
            let alone =
                |(rows, bytes): &(usize, &[u8])| RowsHash::of(DType::F32, [*rows, 97], bytes);
            let alone: Vec<_> = pieces.iter().map(alone).collect();
            assert_eq!(RowsHash::of_each(DType::F32, 97, pieces), alone);
        }
    }

    #[test]
    fn dtype_and_shape_are_covered() {
        let bytes = numbers(4, 6);
        let of = |dtype, shape| RowsHash::of(dtype, shape, bytes.bytes());
        let hash = of(DType::F32, [4, 6]);
        for other in [
            of(DType::F32, [6, 4]),
            of(DType::F32, [1, 24]),
            of(DType::I32, [4, 6]),
        ] {
            assert_eq!(hash.same_as(&other), Some(false));
        }
        assert_eq!(hash.same_as(&of(DType::F32, [4, 6])), Some(true));
    }

    #[test]
    fn hashes_by_two_rules_say_nothing_of_each_other() {
        let tensor = numbers(4, 6);
        let old: RowsHash = tensor.hash().into();
        let new = RowsHash::of(DType::F32, [4, 6], tensor.bytes());
        assert_eq!(old.same_as(&new), None);
        for rule in [HashRule::Sha256, HashRule::Blake2b] {
            let by = RowsHash::by(rule, DType::F32, [4, 6], tensor.bytes());
            let same = [old, new].map(|hash| hash.same_as(&by) == Some(true));
            assert_eq!(same, [rule == HashRule::Sha256, rule == HashRule::Blake2b]);
        }
        let text = tensor.hash().to_string();
        assert_eq!(text.parse(), Ok(old));
        assert_eq!(old.to_string(), text);
    }

    #[test]
    fn only_one_spelling_of_a_hash_is_accepted() {
        let text = RowsHash::of(DType::U8, [1, 1], b"x").to_string();
        for wrong in [
            &text[12..],
            &text[..70],
            "blake2b-256:",
            &text.replace("blake2b-256:", "blake2b:"),
            &text.to_uppercase(),
            &format!("{text}0"),
        ] {
            let error = ParseRowsHashError(wrong.to_owned());
            assert_eq!(wrong.parse::<RowsHash>(), Err(error));
        }
    }
}
