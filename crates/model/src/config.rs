//! Configuration: the encoder's ([`BertConfig`]) and ColBERT's ([`ColbertConfig`]).

mod bert;
mod colbert;
mod error;
mod layer;

pub use bert::{Activation, BertConfig};
pub use colbert::{ColbertConfig, ConfigLayer};
pub use error::ConfigError;
