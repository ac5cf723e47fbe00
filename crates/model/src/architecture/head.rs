//! ColBERT's head, which follows every encoder.

use super::module::Operation;
use super::table::{Input, Row, Size, WEIGHT};

/// The projection to the width of an embedding.
pub const LINEAR: &str = "linear";
/// Tokens that are not kept.
pub const MASK: &str = "mask";
/// What it gives is the embeddings.
pub const NORMALIZE: &str = "normalize";

/// The rows that follow those of every table.
pub const HEAD: &[Row] = &[
    Row {
        path: LINEAR,
        operation: Some(Operation::Linear),
        reads: &[Input::States],
        parameters: &[(WEIGHT, &[Size::Embedding, Size::Hidden])],
        removable: true,
    },
    Row {
        path: MASK,
        operation: Some(Operation::Mask),
        reads: &[Input::Of(LINEAR)],
        parameters: &[],
        removable: false,
    },
    Row {
        path: NORMALIZE,
        operation: Some(Operation::Normalize),
        reads: &[Input::Of(MASK)],
        parameters: &[],
        removable: true,
    },
];
