//! What happens while one waits for an environment.

use std::fmt;

use super::error::size;
use super::recipe::Recipe;

/// What happens while one waits for an environment. Its text is a line for a user.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Another process makes the environment; it is waited for.
    Waiting(&'a str),
    /// The environment there is was made from another recipe and is removed first.
    Replacing(&'a str),
    Making {
        /// What it is made of.
        recipe: &'a Recipe,
        /// Whether with wheels for the CPU alone.
        cpu_wheels: bool,
        /// About what it will take on disk, in bytes.
        bytes: u64,
    },
    /// A line that `uv` said.
    Uv(&'a str),
    /// Its packages are imported for a test.
    Checking,
    /// The index is asked for the versions of PyTorch.
    Asking,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Waiting(name) => write!(f, "waiting for another process that makes {name}"),
            Progress::Replacing(name) => {
                write!(f, "{name} was made from another recipe: making it anew")
            }
            Progress::Making {
                recipe,
                cpu_wheels,
                bytes,
            } => {
                let (name, wheels) = (recipe.name(), if *cpu_wheels { "CPU" } else { "default" });
                write!(f, "making {name}, about {}, {wheels} wheels", size(*bytes))
            }
            Progress::Uv(line) => write!(f, "uv: {line}"),
            Progress::Checking => f.write_str("importing its packages"),
            Progress::Asking => f.write_str("asking the package index for the versions of PyTorch"),
        }
    }
}
