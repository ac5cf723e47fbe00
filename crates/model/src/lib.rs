//! Model.

pub mod config;
pub mod tokenizer;
