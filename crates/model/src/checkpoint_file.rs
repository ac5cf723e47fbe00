//! The small files of a checkpoint: its configurations and its tokenizer's.

use std::io;
use std::path::Path;

use concord_tensor::read_regular;

/// The most bytes of a file of settings.
pub(crate) const MAX_SETTINGS: u64 = 4 << 20;
/// The most bytes of a `tokenizer.json`. The library takes some ten times as many to read it.
pub(crate) const MAX_TOKENIZER: u64 = 16 << 20;
/// The most bytes of a `vocab.txt`.
pub(crate) const MAX_VOCABULARY: u64 = 8 << 20;

/// How the text begins that Git keeps in place of a large file.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The bytes of a file, at most `limit`.
///
/// # Errors
/// When it cannot be read, is no regular file, is larger, is empty, or only stands for the file itself.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let bytes = read_regular(path, limit)?;
    if bytes.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    if bytes.starts_with(LFS_POINTER) {
        return Err(io::Error::other(
            "it is a Git LFS pointer, which stands for the file; fetch the file itself with `git lfs pull`",
        ));
    }
    Ok(bytes)
}
