//! Recorded runs: what a subject computed, kept in a folder.
//!
//! ```text
//! RUN/manifest.json   what ran, on what, with which options; nothing that changes from run to run
//! RUN/events.jsonl    one line per chunk of an artifact and per tap, in the order of computation
//! RUN/SHA256SUMS      the hashes of these two, as `sha256sum --check` reads them
//! RUN/blobs/…         the tensors that the capture level keeps, under their hashes, once each
//! ```
//!
//! So every byte is covered by a hash, and is held against it when it is read. Runs that were recorded before there
//! was `SHA256SUMS` are read without it.

pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod record;
pub(crate) mod recorded;
pub(crate) mod seal;
pub(crate) mod writer;
