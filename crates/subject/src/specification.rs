//! Subject specifications: subjects as the command line names them, one word, options after commas.

mod error;
mod range;
mod subject;
mod torch;

pub use error::SpecError;
pub use range::expand;
pub use subject::SubjectSpec;
pub use torch::{Amp, Attention, Capability, Dropout, PREFIX as TORCH, Pad, TorchOptions};
