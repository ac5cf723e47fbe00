//! Isolated Python environments, one for each version of PyTorch.
//!
//! A [`Recipe`] says what an environment is made of: PyTorch in one version, and every other package in the
//! same version for all of them, as far as that can be. [`Environments`] are those in a folder, made with
//! [`Uv`]. Nothing is read from the process's environment here: where the folder lies and where `uv` is
//! searched is the caller's to say. `uv` itself heeds its own variables and files, so that its package index
//! is the user's.

mod disk;
mod engine;
mod environments;
mod error;
mod make;
mod progress;
mod published;
mod recipe;
mod settings;
mod transformers;
mod uv;
mod version;

pub use disk::{DiskUsage, FreeSpace, free_space};
pub use engine::{Engine, UnknownEngine};
pub use environments::{Environment, Environments, Listed, Unfinished};
pub use error::{EnvironmentError, size};
pub use make::Finished;
pub use progress::Progress;
pub use recipe::{Departure, PYTHON, Recipe};
pub use settings::{Downloads, Settings, Wheels};
pub use transformers::{TransformersError, TransformersVersion, USUAL, WITH_SDPA};
pub use uv::Uv;
pub use version::{OLDEST, TorchRange, TorchVersion, VersionError};
