//! Checkpoints, tokenizers, BERT and the ColBERT head.
//!
//! A [`checkpoint`] is read into weights, settings and word pieces; the [`tokenizer`] turns texts into
//! ids exactly as the reference does; the [`encoder`] turns ids into embeddings with the kernels'
//! documented arithmetic. The [`stages`] put these into the graph of an index build.
//!
//! The decision here is that a batch is packed: rows of tokens one below the other, no padding, attention
//! per passage. Frameworks pad passages to a rectangle because their kernels want one, and then what a
//! passage's embedding is depends on its neighbours. [`numerics`] names other ways to compute, to be
//! compared with, and the [`referee`] computes in `f64` what they are all judged by.

pub mod architecture;
pub mod checkpoint;
mod checkpoint_file;
pub mod config;
pub mod document;
pub mod encoder;
pub mod hub;
pub mod numerics;
pub mod precision;
pub mod query;
pub mod referee;
pub mod stages;
pub mod tokenizer;
