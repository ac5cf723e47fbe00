//! ColBERT indexes that come out the same, bit for bit: for any batch size, number of threads and instruction set.
//! ColBERT's own format on disk, real checkpoints, no Python.
//!
//! ```no_run
//! # fn main() -> Result<(), concord::Error> {
//! let checkpoint = concord::Checkpoint::load("colbert-ir/colbertv2.0")?;
//! concord::Builder::new(&checkpoint).nbits(2).build("collection.tsv", "index")?;
//! let searcher = concord::Searcher::open("index")?;
//! for hit in searcher.search("parking fine", 10)? {
//!     println!("{} {}", hit.id, hit.score);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The types
//!
//! | what | where |
//! |---|---|
//! | a checkpoint: the embedded one, a folder, or one of the Hugging Face hub | [`Checkpoint`] |
//! | an index built, or a broken-off build taken up again | [`Builder`] |
//! | an index of embeddings that another program made | [`EmbeddingsBuilder`] |
//! | an index searched, from any number of threads | [`Searcher`] |
//! | every byte of an index checked, or all of it computed again | [`verify`], [`rebuild`] |
//! | two indexes compared, whoever built them | [`diff`] |
//!
//! All of them own what they need and are `Send` and `Sync`. [`Searcher`] and [`Checkpoint`] are handles: to clone
//! one shares what is behind it.
//!
//! # The decision behind it
//!
//! A search is valid only if its query is encoded as the passages were. [`Searcher::open`] therefore takes no
//! encoder: it finds the checkpoint, the precision and the settings that the index was built with, compares the hash of
//! the checkpoint with the one that the index recorded, and refuses another one. (An index of colbert-ai records no
//! hash; there the width of an embedding is what can be compared.) A searcher over vectors that the caller brings gives
//! plausible results when the wrong checkpoint, prefix or precision made them; there is one, for indexes of embeddings
//! from elsewhere, and it has a name of its own: [`Searcher::open_for_embeddings`].
//!
//! Of the environment, the user's home is asked, where the hub's cache lies unless [`HubOptions`] says otherwise, and by
//! what fetches from the hub, the proxy. Nothing is printed.
//!
//! The command line program `concord` does what is here and more: it finds out *why* two runs that should agree do
//! not.

#![deny(missing_docs)]

mod builder;
mod checkpoint;
mod compare;
mod embeddings;
mod error;
mod progress;
mod searcher;
mod verification;

pub use builder::{Builder, Built};
pub use checkpoint::{Checkpoint, EMBEDDED};
pub use compare::{ArtifactDiff, Diff, diff};
#[doc(inline)]
pub use concord_engine::embeddings::EmbeddingFiles;
#[doc(inline)]
pub use concord_index::filter::FilterError;
#[doc(inline)]
pub use concord_index::passages::{Field, Kind};
#[doc(inline)]
pub use concord_index::search::{PassageSet, Request, SearchOptions};
#[doc(inline)]
pub use concord_kernels::maxsim::Floor;
#[doc(inline)]
pub use concord_model::hub::HubOptions;
#[doc(inline)]
pub use concord_model::precision::Precision;
pub use embeddings::EmbeddingsBuilder;
pub use error::Error;
pub use progress::Step;
pub use searcher::{Answer, Hit, OpenOptions, Searcher};
pub use verification::{Finding, Rebuilt, Verified, rebuild, verify};
