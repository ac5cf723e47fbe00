//! Looking at every element of a file of tensors.

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
