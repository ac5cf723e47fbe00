//! Model.

pub mod config;
