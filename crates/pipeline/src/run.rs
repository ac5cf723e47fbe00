//! Recorded runs: what a subject computed, kept in a folder.
//!
//! ```text
//! RUN/manifest.json   what ran, on what, with which options; nothing that changes from run to run
//! RUN/events.jsonl    one line per chunk of an artifact and per tap, in the order of computation
//! RUN/blobs/…         the tensors that the capture level keeps, under their hashes, once each
//! ```

pub(crate) mod error;
pub(crate) mod record;
pub(crate) mod recorded;
pub(crate) mod writer;
