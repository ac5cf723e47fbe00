//! What can go wrong between the hub, its cache and us.

use std::path::PathBuf;

use hf_hub::api::sync::ApiError;
use thiserror::Error;

/// Why a repository could not be had.
#[derive(Debug, Error)]
pub enum HubError {
    /// Offline, and the cache does not have it.
    #[error(
        "{repo} (revision {revision}) is not in the cache {cache}, and the hub is not asked offline; run once online",
        cache = cache.display()
    )]
    NotCached {
        repo: String,
        revision: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// The hub cannot be reached, and the cache does not have it.
    #[error(
        "{repo} (revision {revision}) is not in the cache {cache}, and {endpoint} cannot be reached: {source}",
        cache = cache.display()
    )]
    Unreachable {
        repo: String,
        revision: String,
        /// The folder of the cache.
        cache: PathBuf,
        endpoint: String,
        source: Box<ApiError>,
    },
    /// The hub has no such repository or revision, or hides it.
    #[error(
        "{endpoint} has no repository {repo} with a revision {revision}, or shows it only to users with an access token (status {status})"
    )]
    NoRepository {
        repo: String,
        revision: String,
        endpoint: String,
        status: u16,
    },
    /// The repository does not have a file that is needed.
    #[error("the repository {repo} has no {file}: it is not a checkpoint")]
    MissingFile {
        repo: String,
        /// The file, or the alternatives.
        file: &'static str,
    },
    /// A file of the repository could not be fetched.
    #[error("fetching {file} of {repo} failed: {source}")]
    Fetch {
        repo: String,
        file: String,
        source: Box<ApiError>,
    },
    #[error("cannot write to the cache {cache}: {source}", cache = cache.display())]
    Cache {
        /// The folder of the cache.
        cache: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
