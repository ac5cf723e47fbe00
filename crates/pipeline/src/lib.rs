//! An index build is a graph of pure stages over named artifacts.
//!
//! A [`Stage`] is a function from artifacts to artifacts. An artifact has a name, the hash of its bits
//! and the hash of what it was made from; a large one is a sequence of chunks, each a [`Value`] of its
//! own. The [`Evaluator`] answers one question, "what is chunk 3 of `embs`?", by running the stage that
//! makes it on the answers to the same question about its inputs, and remembers each answer in a
//! [`Store`] under the hash of what it was made from.
//!
//! Everything else is a use of that: to *resume* is to ask again with the same store, to *verify* is to
//! ask with an empty one and compare hashes, to *swap* is to answer one question by hand, and to
//! *record* is to listen. The alternative, a program that walks through the build and writes files as it
//! goes, would need each of these written again and kept true by hand.
//!
//! This crate knows nothing of BERT or of ColBERT's arithmetic, only the [names](artifact) of what flows.

pub mod artifact;
mod call;
pub mod declaration;
mod evaluate;
mod evaluate_error;
mod forcing;
mod graph;
pub mod grid;
mod hex;
mod made_from;
mod manifest;
mod observe;
mod other_mask;
mod pattern;
mod progress;
pub mod publish;
mod read_error;
mod replacements;
mod run;
mod scratch;
mod setting;
mod source;
mod stage;
mod stage_error;
mod store;
mod store_error;
mod stored_tensor;
mod tap;
mod value;

pub use call::Call;
pub use declaration::{Field, Input, Keep, Output, Reading, Scope, StageDeclaration};
pub use evaluate::{Evaluator, READ};
pub use evaluate_error::{EvaluateError, NotReproducible};
pub use forcing::Forcing;
pub use graph::Graph;
pub use grid::Grid;
pub use manifest::{ArtifactRecord, ChunkRecord, FieldRecord, MANIFEST_VERSION, ManifestHead};
pub use observe::{ArtifactEvent, Observer};
pub use other_mask::OtherMask;
pub use pattern::ModulePattern;
pub use progress::{NoProgress, Progress};
pub use publish::{PublishError, Staging, StagingError};
pub use read_error::ReadError;
pub use replacements::{ForcingError, Replacements};
pub use run::error::RunError;
pub use run::record::{Capture, RunManifest, TapRecord};
pub use run::recorded::RecordedRun;
pub use run::writer::RunWriter;
pub use scratch::Scratch;
pub use setting::Setting;
pub use source::Source;
pub use stage::Stage;
pub use stage_error::StageError;
pub use store::{DiskStore, MemoryStore, Store};
pub use store_error::StoreError;
pub use stored_tensor::{Pieces, StoredTensor};
pub use tap::{Tap, TapRows, TapSink, TappedPassage};
pub use value::Value;
