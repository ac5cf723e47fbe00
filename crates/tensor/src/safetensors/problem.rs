//! What can be wrong with a `.safetensors` file.

/// Why a `.safetensors` file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SafetensorsProblem {
    #[error("the header is said to have {len} bytes, more than the {limit} the format allows")]
    HeaderTooLarge {
        /// The length in the file.
        len: u64,
        limit: u64,
    },
    /// The header is not JSON, or not consistent.
    #[error("the header is not valid: {reason}")]
    InvalidHeader { reason: String },
    /// The tensors do not fill the rest of the file.
    #[error("the header describes {described} bytes of tensors, but the file has {actual}")]
    PayloadSize {
        /// The bytes that the tensors in the header take.
        described: u64,
        /// The bytes that follow the header.
        actual: u64,
    },
    /// A tensor has a dtype that is not known here.
    #[error("tensor {name:?} has dtype {dtype}, which is not supported")]
    UnsupportedDType {
        name: String,
        /// Its dtype as the format names it.
        dtype: String,
    },
    /// A tensor to write has the name under which the header keeps other things.
    #[error("no tensor can have the name \"__metadata__\", which the format reserves")]
    ReservedName,
    /// Two tensors to write have the same name.
    #[error("there are two tensors of the name {name:?}")]
    DuplicateName { name: String },
}
