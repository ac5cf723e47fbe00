//! What a text becomes: the ids of its tokens and the bytes they stand for.

/// The token ids of one text, in order, without padding.
pub type TokenIds = Vec<u32>;

/// The bytes of a text that a token stands for; nothing for a token that was put there.
pub type Span = Option<std::ops::Range<usize>>;
