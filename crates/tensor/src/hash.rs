//! The hash of a tensor's bits.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::DType;

/// A BLAKE3 hash, of a tensor or of bytes.
///
/// The hash of a **tensor** is BLAKE3 over, in this order and with nothing in between:
///
/// 1. the dtype's [name](DType::name) in ASCII, followed by one zero byte;
/// 2. the number of dimensions as an unsigned 64-bit little-endian integer;
/// 3. each dimension, outermost first, likewise;
/// 4. the elements in row-major order, little-endian, a bool being the byte 0 or 1.
///
/// So two tensors hash alike exactly if they agree in dtype, shape and bits: `-0.0` and `0.0`
/// differ, and so do NaNs of different payload. The hash of **bytes**
/// ([`of_bytes`](BitHash::of_bytes), [`ByteHasher`]) is BLAKE3 over those bytes alone, what the
/// `b3sum` program prints.
///
/// Text and JSON show it as `blake3:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitHash([u8; 32]);

const PREFIX: &str = "blake3:";

impl BitHash {
    /// The BLAKE3 hash of some bytes.
    pub fn of_bytes(bytes: &[u8]) -> BitHash {
        BitHash(*blake3::hash(bytes).as_bytes())
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for BitHash {
    fn from(bytes: [u8; 32]) -> BitHash {
        BitHash(bytes)
    }
}

impl fmt::Display for BitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hash: expected \"blake3:\" and 64 lower-case hexadecimal digits")]
pub struct ParseHashError(pub String);

impl FromStr for BitHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<BitHash, ParseHashError> {
        parse(text).ok_or_else(|| ParseHashError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<BitHash> {
    let digits = text.strip_prefix(PREFIX)?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(BitHash(bytes))
}

/// The value of a lower-case digit: upper case is refused, so a hash has one spelling.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Serialize for BitHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BitHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BitHash, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Hashes a tensor whose elements arrive piece by piece.
#[derive(Clone, Debug)]
pub struct TensorHasher(ByteHasher);

impl TensorHasher {
    /// Begins the hash of a tensor of this dtype and shape.
    pub fn new(dtype: DType, shape: &[usize]) -> TensorHasher {
        let mut hasher = ByteHasher::new();
        hasher.update(dtype.name().as_bytes());
        hasher.update(&[0]);
        hasher.update(&(shape.len() as u64).to_le_bytes());
        for &size in shape {
            hasher.update(&(size as u64).to_le_bytes());
        }
        TensorHasher(hasher)
    }

    /// Takes the next elements as little-endian bytes, cut anywhere.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of the tensor whose elements were given.
    ///
    /// That they were as many as the shape says is the caller's to see to.
    pub fn finish(&self) -> BitHash {
        self.0.finish()
    }
}

/// Hashes bytes that arrive piece by piece, for files and keys.
#[derive(Clone, Debug, Default)]
pub struct ByteHasher(blake3::Hasher);

impl ByteHasher {
    /// Begins a hash.
    pub fn new() -> ByteHasher {
        ByteHasher::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes given.
    pub fn finish(&self) -> BitHash {
        BitHash(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_no_bytes_is_the_published_blake3_vector() {
        let expected = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(BitHash::of_bytes(b"").to_string(), expected);
        assert_eq!(expected.parse(), Ok(BitHash::of_bytes(b"")));
    }

    #[test]
    fn a_tensor_hash_covers_the_documented_preimage() {
        let mut preimage = b"f16\0".to_vec();
        for number in [2_u64, 1, 2] {
            preimage.extend(number.to_le_bytes());
        }
        preimage.extend([1, 2, 3, 4]);
        let mut hasher = TensorHasher::new(DType::F16, &[1, 2]);
        hasher.update(&[1]);
        hasher.update(&[2, 3, 4]);
        assert_eq!(hasher.finish(), BitHash::of_bytes(&preimage));
    }

    #[test]
    fn only_one_spelling_of_a_hash_is_accepted() {
        let text = BitHash::of_bytes(b"x").to_string();
        let hex = &text[PREFIX.len()..];
        for wrong in [
            hex,
            &text[..70],
            "blake3:",
            &text.to_uppercase(),
            &format!("{text}0"),
        ] {
            assert_eq!(
                wrong.parse::<BitHash>(),
                Err(ParseHashError(wrong.to_owned()))
            );
        }
    }

    #[test]
    fn json_holds_the_text_form() {
        let hash = BitHash::of_bytes(b"concord");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<BitHash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<BitHash>("\"blake3:00\"").is_err());
    }
}
