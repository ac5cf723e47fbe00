//! Attention masks that are not the ordinary one.

use concord_tensor::{DType, RowsHash};
use serde::{Deserialize, Serialize};

/// In what a passage's attention mask is not the ordinary one, with which each of its tokens attends to all of its
/// tokens and to nothing else.
///
/// It is told of in a form that every implementation has: which tokens are attended to, whatever numbers say so.
/// Tokens are numbered from 0, the special ones included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherMask {
    pub pid: usize,
    /// The tokens of the passage that not all of its tokens attend to, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// The tokens of the passage to whose scores something else is added than nothing or what hides them, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weighted: Vec<usize>,
    /// Whether this is so for some of its tokens, or in some heads, and not for all alike.
    #[serde(default, skip_serializing_if = "is_false")]
    pub varying: bool,
    /// Whether padding behind the passage is attended to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub padding: bool,
    /// The hash of what its tokens attend to among themselves, `(rows, tokens)`: one row where all attend to the
    /// same, and else one for each head and token; `bool`, or what is added to the scores in `f32` (negative infinity
    /// where a token is hidden) where some are weighted.
    pub hash: RowsHash,
}

// serde hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

impl OtherMask {
    /// The mask of a passage all of whose tokens attend to these of its tokens; `None` if that is all of them.
    pub fn of(pid: usize, attended: &[bool]) -> Option<OtherMask> {
        let places = attended.iter().enumerate();
        let hidden: Vec<usize> = places
            .filter_map(|(place, attended)| (!attended).then_some(place))
            .collect();
        let bytes: Vec<u8> = attended.iter().map(|&attended| attended.into()).collect();
        (!hidden.is_empty()).then(|| OtherMask {
            pid,
            hidden,
            weighted: Vec::new(),
            varying: false,
            padding: false,
            hash: RowsHash::of(DType::Bool, [1, attended.len()], &bytes),
        })
    }

    /// Whether both say the same of two passages of as many tokens.
    pub fn is_like(&self, other: &OtherMask) -> bool {
        (self.hash, self.padding) == (other.hash, other.padding)
    }
}
