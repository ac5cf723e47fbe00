//! The environment variables that the program heeds, read here alone.

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use concord_kernels::compute::{ComputeOptions, IsaError};
use concord_model::hub::HubOptions;
use concord_report::Style;
use concord_subject::python::{Downloads, Environments, Settings};

/// How to reach the hub: the variables of Hugging Face's own programs.
pub fn hub() -> HubOptions {
    let cache = env::var_os("HF_HUB_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = env::var_os("HF_HOME").map(PathBuf::from);
            home.unwrap_or_else(|| user_cache().join("huggingface"))
                .join("hub")
        });
    let mut options = HubOptions::new(cache);
    options.offline = is_set("HF_HUB_OFFLINE");
    if let Ok(endpoint) = env::var("HF_ENDPOINT") {
        options.endpoint = endpoint;
    }
    options.token = env::var("HF_TOKEN").ok().filter(|token| !token.is_empty());
    options
}

fn user_cache() -> PathBuf {
    let home = || env::home_dir().unwrap_or_default().join(".cache");
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(home)
}

fn is_set(name: &str) -> bool {
    env::var(name).is_ok_and(|value| {
        !["", "0", "false", "no", "off"].contains(&value.to_lowercase().as_str())
    })
}

/// The instruction set that `CONCORD_ISA` forces, for tests that start the program.
pub fn compute() -> Result<ComputeOptions, IsaError> {
    let options = ComputeOptions::default();
    match env::var("CONCORD_ISA") {
        Ok(name) if !name.is_empty() => options.with_isa(&name),
        _ => Ok(options),
    }
}

/// How results look on standard output: coloured on a terminal, unless `NO_COLOR` is set, and cut to its
/// width.
pub fn style() -> Style {
    if !io::stdout().is_terminal() {
        return plain_style();
    }
    let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = console::Term::stdout()
        .size_checked()
        .map(|(_, columns)| usize::from(columns));
    Style { colour, width }
}

/// How results look in a file.
pub fn plain_style() -> Style {
    Style::default()
}

/// The user's Python environments.
pub fn environments(downloads: Downloads) -> Environments {
    let home = env::var_os("CONCORD_HOME").map(PathBuf::from);
    let root = Environments::usual_root(home.as_deref(), &user_cache());
    let mut settings = Settings::new(env::var_os("PATH").unwrap_or_default());
    settings.downloads = downloads;
    Environments::new(root, settings)
}
