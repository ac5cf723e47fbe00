//! Indexes of embeddings that are given in files.

#![allow(clippy::unwrap_used)]

mod building;
#[path = "../engine/mod.rs"]
mod engine;
mod files;
mod given;
#[path = "../../../index/tests/golden/mod.rs"]
mod golden;
mod using;
