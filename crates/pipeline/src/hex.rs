//! Hashes as the names of files.

use std::fmt::Write;

use concord_tensor::BitHash;

/// The 64 lower-case hexadecimal digits of a hash.
pub(crate) fn hex(hash: BitHash) -> String {
    let mut digits = String::with_capacity(64);
    for byte in hash.as_bytes() {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
