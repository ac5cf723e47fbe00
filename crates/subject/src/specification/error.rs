//! Why text specifies no subject.

use concord_engine::options::OptionError;
use concord_engine::settings::SettingError;
use concord_model::numerics::VariantError;

use crate::python::{TransformersError, UnknownEngine, VersionError};

/// The options of a PyTorch subject, for messages.
const TORCH_OPTIONS: &str = "engine=, device=, amp=, batch=, threads=, pad=, attention=, isa=, \
                             transformers==, dropout=, and MODULE:identity; for this side alone checkpoint=, \
                             nbits=, doc_maxlen=, kmeans_niters= and seed=";

/// Why text specifies no subject.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error(
        "`{0}` is no subject: write `native` or `torch==2.4.1`, with options after commas \
         (native,batch=8,gemm=split-k:4), or the path of a recorded run"
    )]
    Unknown(String),
    /// An option of the native engine that it does not have, or a value that it cannot have.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// An option that PyTorch subjects do not have.
    #[error("unknown option `{0}` of torch: it has {options}", options = TORCH_OPTIONS)]
    UnknownTorchOption(String),
    /// A patch of the native engine, placed in PyTorch.
    #[error(
        "`{0}`: torch computes with PyTorch's own operations, so of the patches it takes only \
         MODULE:identity"
    )]
    NotForTorch(String),
    /// A value that an option does not have.
    #[error("unknown {option} `{value}`: choose one of {choices}")]
    UnknownChoice {
        option: &'static str,
        value: String,
        choices: String,
    },
    /// A range where one subject is needed.
    #[error(
        "`torch=={0}` is a range of versions, and one subject is needed here: name one of them, such as \
         torch=={first}, or give the range to `concord matrix`",
        first = .0.split("..").next().unwrap_or_default()
    )]
    SeveralVersions(String),
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error(transparent)]
    Transformers(#[from] TransformersError),
    #[error(transparent)]
    Engine(#[from] UnknownEngine),
    #[error(transparent)]
    Variant(#[from] VariantError),
    #[error(transparent)]
    Setting(#[from] SettingError),
}
