//! Passages by what is known of them: `year > 2020 AND lang = 'en'`.
//!
//! An expression is read into a tree of conditions, each on one field and with values beside it. Each condition is
//! answered by a statement of SQL that stands in this program as it is, and to which the number of the field and the
//! values are bound; `AND`, `OR` and `NOT` are done on the sets of passages that come of it. So nothing of what somebody
//! wrote is ever a part of SQL, and a field is one that the index has.
//!
//! Logic is SQL's, with a third value: a condition on a field that a passage does not have, or has with a value of
//! another kind, is *unknown*, and so is its opposite. Passages of which the whole is true are found.

mod error;
mod expression;
mod like;
mod parse;
mod select;
mod words;

pub use error::{FilterError, Misread, ParseError};
pub use expression::{
    Comparison, Condition, Expression, Literal, MAX_DEPTH, MAX_EXPRESSION, MAX_LIST,
};
pub use parse::parse;
pub use select::select;
