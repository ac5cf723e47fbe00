//! The sizes beyond which a PyTorch file is refused.

/// The most dimensions a tensor can have in PyTorch.
pub(super) const MAX_DIMENSIONS: usize = 64;

/// The largest pickle read, in bytes; that of a model of a thousand tensors has some 200 kB.
pub(super) const MAX_PICKLE: u64 = 64 << 20;

/// The longest `byteorder` entry read; PyTorch's are "little" and "big".
pub(super) const MAX_BYTE_ORDER: u64 = 16;
