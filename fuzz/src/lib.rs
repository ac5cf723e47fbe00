//! What the fuzz targets share: looking at every element a reader hands out.
//!
//! A target feeds bytes to a reader. An error is a fine answer; a panic, a hang or memory out of
//! proportion to the file is a bug. Run one with
//!
//! ```text
//! cargo fuzz run --sanitizer none pt -- -rss_limit_mb=2048 -max_total_time=60
//! ```
//!
//! or without `--sanitizer none` on a nightly toolchain. The files in `crates/tensor/tests/golden`
//! are good seeds.

use concord_tensor::TensorSource;

/// Larger tensors are not read: a file may rightly describe some that take a second each.
const MAX_ELEMENTS: usize = 1 << 16;

/// Reads tensors whole and in pieces, which must agree.
pub fn read_all(sources: impl IntoIterator<Item = TensorSource>) {
    for source in sources
        .into_iter()
        .take(100)
        .filter(|source| source.len() <= MAX_ELEMENTS)
    {
        let whole = source.read();
        let hash = source.hash();
        assert_eq!(whole.is_ok(), hash.is_ok());
        if let (Ok(whole), Ok(hash)) = (whole, hash) {
            assert_eq!(whole.hash(), hash);
            assert_eq!(whole.shape(), source.shape());
            let pieces: Vec<u8> = source
                .chunks(1000)
                .flat_map(|chunk| chunk.expect("the whole could be read").bytes().to_vec())
                .collect();
            assert_eq!(pieces, whole.bytes());
        }
    }
}
