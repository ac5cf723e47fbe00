//! The stages after the encoder: the functions of this crate as parts of a graph.

mod calibrate;
mod cluster;
mod compress;
mod invert;
mod sample;
mod sample_pids;
mod split;
mod work;

pub use calibrate::Calibrate;
pub use cluster::Cluster;
pub use compress::{Compress, LastCodec};
pub use invert::Invert;
pub use sample::Sample;
pub use sample_pids::SamplePids;
pub use split::Split;
