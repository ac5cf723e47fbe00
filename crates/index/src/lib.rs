//! The stages after the encoder, the ColBERT on-disk index, and search.
//!
//! Generators, formulas and orders are those of the reference, so that with the reference's embeddings
//! and centroids in place the index comes out as the reference's, byte for byte. Where the reference
//! leaves something open (the order of ties) or to its libraries (the order of additions), this crate
//! says what it does.
//!
//! Each step of a build is a function of numbers ([k-means](cluster::kmeans), [calibration](calibrate::calibrate),
//! the [codec](codec::ResidualCodec), [inversion](invert::invert)) that anybody can call; the [`stages`] hand the
//! artifacts of a graph to them. The alternative, arithmetic inside of stages, could be run and tested only with a
//! graph around it.
//!
//! Stages know nothing of files and [`format`](mod@format) knows nothing of arithmetic: an index on disk
//! is written from artifacts and read back into them. The alternative, stages that write their own files,
//! would leave no place from which to take an artifact of another run.

pub mod calibrate;
pub mod cluster;
pub mod codec;
pub mod evaluate;
pub mod filter;
pub mod format;
pub mod invert;
pub mod passages;
pub mod plan;
pub mod random;
pub mod rows;
pub mod sample;
pub mod search;
pub mod stages;
pub mod verify;
