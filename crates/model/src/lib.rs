//! Model.

pub mod checkpoint;
pub mod config;
pub mod hub;
pub mod tokenizer;
