//! Passages of one length.

use concord_model::tokenizer::WordPieces;

/// `count` texts that the tokenizer makes `tokens` tokens of, marker and special tokens included, all
/// different. Their words are pieces of the vocabulary, drawn in a fixed order.
///
/// Returns `None` if the vocabulary has too few whole words, or `tokens` leaves no room for any.
pub fn texts(pieces: &WordPieces, count: usize, tokens: usize) -> Option<Vec<String>> {
    // `[CLS]`, the marker, `[SEP]`.
    let words = tokens.checked_sub(3).filter(|&words| words > 0)?;
    let whole = (0..=pieces.highest_id())
        .filter_map(|id| pieces.token_of(id))
        .filter(|piece| piece.len() > 2 && piece.bytes().all(|byte| byte.is_ascii_lowercase()));
    let vocabulary: Vec<String> = whole.collect();
    if vocabulary.len() < 100 {
        return None;
    }
    // Steps that share no factor with most lengths walk through the whole vocabulary.
    let text = |passage: usize| {
        let word =
            |place: usize| &vocabulary[(passage * 7_919 + place * 104_729) % vocabulary.len()];
        let words: Vec<&str> = (0..words).map(|place| word(place).as_str()).collect();
        words.join(" ")
    };
    Some((0..count).map(text).collect())
}
