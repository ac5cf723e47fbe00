//! What can be run and questioned.
//!
//! A subject is something that builds an index and can be watched doing it: the native engine, in
//! any of its variants, a version of PyTorch ([`torch`]), or a recorded run. Its [`specification`] is one word,
//! `native,gemm=split-k:4` or `torch==2.4.1`. To [`record`] a run of the native engine is to evaluate the graph
//! that building an index evaluates; they differ in who listens and what is kept.
//!
//! PyTorch runs in a process of its own, in one of the [`python`] environments. The [`agent`] in it is
//! asked in lines of JSON and sees the real program, `colbert-ai` or a plain BERT, by wrapping its
//! functions. The alternative, PyTorch linked into this program, would be one version with one set of
//! libraries, and not the one that the user runs.

pub mod agent;
pub mod downstream;
pub mod error;
pub mod operations;
pub mod probe;
pub mod python;
pub mod record;
pub mod runner;
pub mod specification;
pub mod torch;
