//! How environments are made.

use std::ffi::OsString;

use super::disk::{FreeSpace, free_space};

/// Where PyTorch's wheels come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wheels {
    /// From the index of wheels for the CPU alone, a tenth of the size, if it answers; otherwise as `uv` is
    /// set up.
    #[default]
    CpuIfReachable,
    /// As `uv` is set up.
    AsConfigured,
}

/// What becomes of downloaded packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downloads {
    /// They stay in `uv`'s cache, where other environments find them; removing an environment does not
    /// free them.
    #[default]
    Keep,
    /// They are gone with the environment.
    Discard,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// The folders in which `uv` or Python is searched, as in `PATH`.
    pub path: OsString,
    /// Where PyTorch's wheels come from.
    pub wheels: Wheels,
    /// What becomes of downloaded packages.
    pub downloads: Downloads,
    /// What tells the free space on a disk.
    pub free_space: FreeSpace,
}

impl Settings {
    /// The usual settings, with `uv` searched in `path`.
    pub fn new(path: impl Into<OsString>) -> Settings {
        Settings {
            path: path.into(),
            wheels: Wheels::default(),
            downloads: Downloads::default(),
            free_space,
        }
    }
}
