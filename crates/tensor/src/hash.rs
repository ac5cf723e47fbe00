//! The hash of a tensor's bits.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::dtype::DType;

/// A SHA-256 hash, of a tensor or of bytes.
///
/// SHA-256, because runs are recorded elsewhere too: every Python has it in its standard library, so a
/// script that may install nothing gives a tensor the same name as Concord does. No two different inputs
/// of the same hash are known, which a name that stands for the content needs, and most processors of
/// today have instructions for it, which both sides use where they are.
///
/// The hash of a **tensor** is SHA-256 over, in this order and with nothing in between:
///
/// 1. the dtype's [name](DType::name) in ASCII, followed by one zero byte;
/// 2. the number of dimensions as an unsigned 64-bit little-endian integer;
/// 3. each dimension, outermost first, likewise;
/// 4. the elements in row-major order, little-endian, a bool being the byte 0 or 1.
///
/// So two tensors hash alike exactly if they agree in dtype, shape and bits: `-0.0` and `0.0`
/// differ, and so do NaNs of different payload. The hash of **bytes**
/// ([`of_bytes`](BitHash::of_bytes), [`ByteHasher`]) is SHA-256 over those bytes alone, what the
/// `sha256sum` program prints.
///
/// Text and JSON show it as `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitHash([u8; 32]);

const PREFIX: &str = "sha256:";

impl BitHash {
    /// The SHA-256 hash of some bytes.
    pub fn of_bytes(bytes: &[u8]) -> BitHash {
        BitHash(Sha256::digest(bytes).into())
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
#[error("{0:?} is not a hash: expected \"sha256:\" and 64 lower-case hexadecimal digits")]
pub struct ParseHashError(pub String);

impl FromStr for BitHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<BitHash, ParseHashError> {
        parse(text).ok_or_else(|| ParseHashError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<BitHash> {
    hexadecimal(text.strip_prefix(PREFIX)?).map(BitHash)
}

/// The 32 bytes of 64 lower-case hexadecimal digits.
pub(crate) fn hexadecimal(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let (mut bytes, mut wrong) = ([0; 32], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| NIBBLES[usize::from(digit)]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    (wrong & NO_DIGIT == 0).then_some(bytes)
}

/// The bit that stands for no digit.
const NO_DIGIT: u8 = 0x80;

/// The value of a lower-case digit: upper case is refused, so a hash has one spelling. A table, because a run has
/// some hundred thousand hashes.
const NIBBLES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

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
pub struct ByteHasher(Sha256);

impl ByteHasher {
    pub fn new() -> ByteHasher {
        ByteHasher::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes given.
    pub fn finish(&self) -> BitHash {
        BitHash(self.0.clone().finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of one block that NIST publishes with the standard.
    #[test]
    fn abc_hashes_as_nist_says() {
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(BitHash::of_bytes(b"abc").to_string(), expected);
        assert_eq!(expected.parse(), Ok(BitHash::of_bytes(b"abc")));
    }

    /// What `hashlib.sha256(bytes(range(256)) * 5).hexdigest()` is in Python.
    #[test]
    fn bytes_hash_as_in_python_however_they_are_cut() {
        let expected = "sha256:d414b085826eb06778483ba35564dc849e643359f69ed9747878ba6e54985bed";
        let bytes: Vec<u8> = (0..5).flat_map(|_| 0..=u8::MAX).collect();
        assert_eq!(BitHash::of_bytes(&bytes).to_string(), expected);
        for size in [1, 63, 64, 65, 1000] {
            let mut hasher = ByteHasher::new();
            for piece in bytes.chunks(size) {
                // Asking half way does not change what comes out at the end.
                hasher.finish();
                hasher.update(piece);
            }
            assert_eq!(hasher.finish().to_string(), expected, "pieces of {size}");
        }
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
            "sha256:",
            // The hash that version 1 of the manifests used.
            &text.replace(PREFIX, "blake3:"),
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
        assert!(serde_json::from_str::<BitHash>("\"sha256:00\"").is_err());
    }
}
