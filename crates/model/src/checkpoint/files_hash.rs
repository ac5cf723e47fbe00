//! The hash of a checkpoint's files as they lie there, which a program can make that does not read them.

use std::io::{self, Read};
use std::path::Path;

use concord_tensor::{BitHash, ByteHasher, open_regular};

/// The files that are read of a checkpoint, whoever reads them: the agent's `checkpoint_files_hash` has the same.
const FILES: [&str; 8] = [
    "artifact.metadata",
    "config.json",
    "model.safetensors",
    "pytorch_model.bin",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
];

/// The hash of the name, a zero byte and the digest of the contents of each of [`FILES`] that is in `folder`, one
/// after the other.
pub(super) fn of(folder: &Path) -> io::Result<BitHash> {
    let mut whole = ByteHasher::new();
    for name in FILES {
        let path = folder.join(name);
        if path.exists() {
            whole.update(name.as_bytes());
            whole.update(b"\0");
            whole.update(contents(&path)?.as_bytes());
        }
    }
    Ok(whole.finish())
}

fn contents(path: &Path) -> io::Result<BitHash> {
    let mut file = open_regular(path)?;
    let (mut hasher, mut piece) = (ByteHasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&piece[..read]),
        }
    }
}
