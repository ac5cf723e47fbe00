//! Texts to token ids, as ColBERT turns them.
//!
//! Three steps: the word pieces of the checkpoint's own tokenizer ([`WordPieces`]), the layout of
//! a document ([`DocTokenizer`]) or a query ([`QueryTokenizer`]) around them, and the order in
//! which documents are batched ([`BatchPlan`]).
//!
//! Documents are returned without padding: what a document's ids are must not depend on its
//! neighbours. Who needs the padded slices of the reference finds them in the batch plan.

mod batch_plan;
mod cut;
mod description;
mod doc;
mod error;
mod files;
mod guard;
mod library;
mod markers;
mod query;
mod tokens;
mod word_pieces;

pub use batch_plan::BatchPlan;
pub use doc::DocTokenizer;
pub use error::TokenizerError;
pub use files::TokenizerFiles;
pub use query::{QueryTokenizer, QueryTokens};
pub use tokens::{Span, TokenIds};
pub use word_pieces::{Encoded, SpecialIds, WordPieces};
