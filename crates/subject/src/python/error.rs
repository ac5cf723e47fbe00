//! What can go wrong with an environment.

use std::io;
use std::path::{Path, PathBuf};

use concord_pipeline::publish::PublishError;

use super::recipe::PYTHON;
use super::version::{TorchRange, TorchVersion};

/// Why there is no environment, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// `uv` is neither on PATH nor a module of the Python on PATH.
    #[error(
        "environments are made with uv, which is not here: install it with `pip install uv`, or put it on PATH"
    )]
    NoUv,
    /// A version that is not published for this system.
    #[error(
        "there is no PyTorch {version} for Python {PYTHON} on this system; the nearest are {nearest}",
        nearest = join(nearest)
    )]
    UnknownVersion {
        version: TorchVersion,
        /// Those published before and after it, at most two each.
        nearest: Vec<TorchVersion>,
    },
    /// A range with no published version in it.
    #[error(
        "no version of PyTorch from {range} is published for Python {PYTHON} on this system; the newest is {newest}"
    )]
    EmptyRange {
        range: TorchRange,
        /// The newest version that is published.
        newest: TorchVersion,
    },
    #[error(
        "the package index cannot be reached: connect to the network, or set up uv's index and run the same \
         command again\nuv said:\n{lines}"
    )]
    NoNetwork {
        /// The last lines of `uv`.
        lines: String,
    },
    /// Less space than the environment takes, found before anything was downloaded.
    #[error(
        "{name} takes {needed} of disk space, and {free} are free in {folder}: free some space, or choose \
         another folder",
        needed = size(*needed), free = size(*free), folder = folder.display()
    )]
    Shortage {
        name: String,
        /// The folder that is short of space.
        folder: PathBuf,
        /// The bytes needed in it.
        needed: u64,
        /// The bytes free in it.
        free: u64,
    },
    /// The disk was full while the environment was made.
    #[error(
        "the disk was full while {name} was made: free some space and run the same command again\n\
         uv said:\n{lines}"
    )]
    FullDisk {
        name: String,
        /// The last lines of `uv`.
        lines: String,
    },
    /// The index has the version, but not all of what belongs to it.
    #[error("the package index has no packages that fit together for {name}; uv said:\n{lines}")]
    NoSolution {
        name: String,
        /// The last lines of `uv`.
        lines: String,
    },
    /// `uv` failed for another reason.
    #[error("uv failed when {name} was made ({status}); its last lines:\n{lines}")]
    Uv {
        name: String,
        status: String,
        /// The last lines of what it said.
        lines: String,
    },
    /// The packages are there, and cannot be imported.
    #[error("{name} was made, but its packages cannot be imported; Python's last lines:\n{lines}")]
    Broken {
        name: String,
        /// The last lines of the traceback.
        lines: String,
    },
    #[error("there is no environment `{name}`{known}", known = listed(known))]
    NotThere { name: String, known: Vec<String> },
    /// An environment that is to be removed or replaced is in use.
    #[error("{0} is in use by another process: wait until it is done")]
    InUse(String),
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A program could not be started or listened to.
    #[error("cannot run {program}: {source}", program = program.display())]
    Run { program: PathBuf, source: io::Error },
    /// A file or folder could not be written.
    #[error(transparent)]
    Write(#[from] PublishError),
}

/// Turns an I/O error into an [`EnvironmentError::Read`] about `path`.
pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> EnvironmentError + '_ {
    move |source| EnvironmentError::Read {
        path: path.to_owned(),
        source,
    }
}

/// A number of bytes in gigabytes, or in megabytes where it is less than one.
pub fn size(bytes: u64) -> String {
    if bytes >= 1_000_000_000 {
        format!("{:.1} GB", bytes as f64 / 1e9)
    } else {
        format!("{:.0} MB", bytes as f64 / 1e6)
    }
}

fn join(versions: &[TorchVersion]) -> String {
    let words: Vec<String> = versions.iter().map(TorchVersion::to_string).collect();
    words.join(", ")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "; there are none yet".to_owned(),
        names => format!("; there are {}", names.join(", ")),
    }
}
