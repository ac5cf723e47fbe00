//! The stages up to the embeddings: tokenize, encode, gather.

mod cuts;
mod encode;
mod gather;
mod passages;
mod tokenize;

pub use cuts::{CutPassages, Cuts};
pub use encode::Encode;
pub use gather::Gather;
pub use passages::{Passages, count_of};
pub use tokenize::Tokenize;
