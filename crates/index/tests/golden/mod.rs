//! The golden values: what the real ColBERT computed with two versions of PyTorch.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use concord_tensor::{Tensor, npy};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The path of an input: `checkpoint`, `collection.tsv` or `queries.tsv`.
pub fn input(name: &str) -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("../../tests/golden").join(name)
}

/// The values of one version of PyTorch.
pub struct Golden {
    /// The version.
    pub torch: &'static str,
}

/// The version whose tensor files Concord's are equal to byte for byte, and which has the variants.
pub const OLD: Golden = Golden { torch: "1.13.1" };

/// The latest version, which has the taps.
pub const NEW: Golden = Golden { torch: "2.15.0" };

/// Every version there is.
pub const VERSIONS: [Golden; 2] = [OLD, NEW];

impl Golden {
    /// The path of a file or folder.
    pub fn path(&self, name: &str) -> PathBuf {
        input(&format!("torch-{}", self.torch)).join(name)
    }

    /// An array of a `.npy` file.
    pub fn array(&self, name: &str) -> Tensor {
        npy::read(self.path(name)).unwrap()
    }

    /// The content of a JSON file.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> T {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The largest absolute difference between values of the same number.
pub fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |largest, difference| {
        // A NaN is the largest difference there is.
        if difference <= largest {
            largest
        } else {
            difference
        }
    })
}
