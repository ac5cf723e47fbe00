//! An index of embeddings that somebody else computed: `doclens` and `embs` are given, the rest of the graph is that of
//! every index.

mod doclens;
mod error;
mod files;
mod index;
mod looks;
mod passages;
mod places;
mod queries;

pub use error::{EmbeddingsError, Problem};
pub use files::EmbeddingFiles;
pub use index::{GivenError, GivenIndex, GivenSettings, OtherEmbeddings};
pub use passages::GivenPassages;
pub use queries::{GivenQueries, GivenQuery};
