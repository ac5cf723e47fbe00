//! Checkpoints from the Hugging Face hub, by way of its local cache.
//!
//! The cache is the one that `huggingface_hub` keeps, so what Python has fetched is found here
//! and the other way round. Nothing is read from the environment: where the cache lies, whether
//! to go online, and as whom, is the caller's to say.

mod error;

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

pub use error::HubError;

/// The hub's public address.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// The files of a checkpoint other than its weights, as far as a repository has them.
///
/// They are fetched in this order and the weights after them, so that a snapshot which has the
/// weights is complete.
const SMALL_FILES: [&str; 6] = [
    "artifact.metadata",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    CONFIG,
];
const CONFIG: &str = "config.json";
/// The files of weights, in the order of preference: the first that exists is fetched.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// How to reach the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// The folder of the cache, by default `~/.cache/huggingface/hub`.
    pub cache_dir: PathBuf,
    /// Whether to use the cache alone.
    pub offline: bool,
    /// The hub's address, without a slash at the end.
    pub endpoint: String,
    /// An access token, for repositories that ask for one.
    pub token: Option<String>,
    /// The branch, tag or commit.
    pub revision: String,
}

impl HubOptions {
    /// The public hub, anonymously, at the branch `main`, with the cache in `cache_dir`.
    pub fn new(cache_dir: impl Into<PathBuf>) -> HubOptions {
        HubOptions {
            cache_dir: cache_dir.into(),
            offline: false,
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            token: None,
            revision: "main".to_owned(),
        }
    }
}

/// The id of a repository on the hub: `owner/name`, or `name` alone for the oldest models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoId(String);

impl RepoId {
    /// `text` as a repository id, if it can be one: one or two words of letters, digits, `-`,
    /// `_` and `.`, neither beginning nor ending with `-` or `.`.
    pub fn parse(text: &str) -> Option<RepoId> {
        let is_word = |word: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let edge = |c: char| matches!(c, '-' | '.');
            !word.is_empty()
                && word.chars().all(allowed)
                && !word.starts_with(edge)
                && !word.ends_with(edge)
        };
        let words: Vec<&str> = text.split('/').collect();
        let valid = words.len() <= 2 && words.iter().all(|word| is_word(word));
        valid.then(|| RepoId(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RepoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder that holds the files of the checkpoint `repo`, which are fetched unless they are in
/// the cache.
///
/// Online, the hub is asked which commit the revision stands for, and all files are of that one
/// commit. Offline, or when the hub cannot be reached, the commit is that of the last time.
///
/// # Errors
/// [`HubError`].
pub fn fetch(repo: &RepoId, options: &HubOptions) -> Result<PathBuf, HubError> {
    Fetching::new(repo, options, &WEIGHTS).folder()
}

/// As [`fetch`], for a model of which only configuration and tokenizer are wanted.
///
/// # Errors
/// [`HubError`].
pub fn fetch_without_weights(repo: &RepoId, options: &HubOptions) -> Result<PathBuf, HubError> {
    Fetching::new(repo, options, &[]).folder()
}

struct Fetching<'a> {
    repo: &'a RepoId,
    options: &'a HubOptions,
    /// The names that the weights may have; none if they are not wanted.
    weights: &'a [&'static str],
}

impl<'a> Fetching<'a> {
    fn new(repo: &'a RepoId, options: &'a HubOptions, weights: &'a [&'static str]) -> Self {
        Fetching {
            repo,
            options,
            weights,
        }
    }

    fn folder(&self) -> Result<PathBuf, HubError> {
        if self.options.offline {
            return self.cached().ok_or_else(|| HubError::NotCached {
                repo: self.repo.to_string(),
                revision: self.options.revision.clone(),
                cache: self.options.cache_dir.clone(),
            });
        }
        match self.online() {
            Err(unreachable @ HubError::Unreachable { .. }) => self.cached().ok_or(unreachable),
            other => other,
        }
    }

    /// The snapshot that the cache has of the revision, if it is complete.
    fn cached(&self) -> Option<PathBuf> {
        let config = self.cache_repo(&self.options.revision).get(CONFIG)?;
        let folder = config.parent()?;
        let has = |name: &&str| folder.join(name).exists();
        let complete = self.weights.is_empty() || self.weights.iter().any(has);
        complete.then(|| folder.to_owned())
    }

    /// The snapshot of the revision's present commit, with all files fetched.
    fn online(&self) -> Result<PathBuf, HubError> {
        let api = self.api().map_err(|source| self.unreachable(source))?;
        let info = api.repo(self.at(&self.options.revision)).info();
        let info = info.map_err(|source| self.refused(source))?;
        let has = |name: &str| info.siblings.iter().any(|file| file.rfilename == name);
        if !has(CONFIG) {
            return Err(self.missing(CONFIG));
        }
        let weights = self.weights.iter().copied().find(|name| has(name));
        if weights.is_none() && !self.weights.is_empty() {
            return Err(self.missing("model.safetensors or pytorch_model.bin"));
        }
        let small = SMALL_FILES.into_iter().filter(|name| has(name));
        let folder = self.cache_repo(&info.sha).pointer_path(&info.sha);
        for file in small.chain(weights) {
            self.fetch_file(&api, &info.sha, &folder, file)?;
        }
        // So that the revision's commit is known offline.
        let reference = self.cache_repo(&self.options.revision);
        let noted = reference.create_ref(&info.sha);
        noted.map_err(|source| HubError::Cache {
            cache: self.options.cache_dir.clone(),
            source,
        })?;
        Ok(folder)
    }

    fn fetch_file(
        &self,
        api: &Api,
        commit: &str,
        folder: &Path,
        file: &str,
    ) -> Result<(), HubError> {
        if folder.join(file).exists() {
            return Ok(());
        }
        let fetched = api.repo(self.at(commit)).download(file);
        match fetched {
            Ok(_) => Ok(()),
            Err(source) => Err(HubError::Fetch {
                repo: self.repo.to_string(),
                file: file.to_owned(),
                source: Box::new(source),
            }),
        }
    }

    fn api(&self) -> Result<Api, ApiError> {
        let cache = Cache::new(self.options.cache_dir.clone());
        ApiBuilder::from_cache(cache)
            .with_endpoint(self.options.endpoint.clone())
            .with_token(self.options.token.clone())
            .with_progress(false)
            .build()
    }

    fn at(&self, revision: &str) -> Repo {
        let id = self.repo.as_str().to_owned();
        Repo::with_revision(id, RepoType::Model, revision.to_owned())
    }

    fn cache_repo(&self, revision: &str) -> CacheRepo {
        Cache::new(self.options.cache_dir.clone()).repo(self.at(revision))
    }

    fn missing(&self, file: &'static str) -> HubError {
        HubError::MissingFile {
            repo: self.repo.to_string(),
            file,
        }
    }

    /// The error for a request that was answered with a refusal, or not at all.
    fn refused(&self, source: ApiError) -> HubError {
        match status(&source) {
            Some(status @ (401 | 403 | 404)) => HubError::NoRepository {
                repo: self.repo.to_string(),
                revision: self.options.revision.clone(),
                endpoint: self.options.endpoint.clone(),
                status,
            },
            _ => self.unreachable(source),
        }
    }

    fn unreachable(&self, source: ApiError) -> HubError {
        HubError::Unreachable {
            repo: self.repo.to_string(),
            revision: self.options.revision.clone(),
            cache: self.options.cache_dir.clone(),
            endpoint: self.options.endpoint.clone(),
            source: Box::new(source),
        }
    }
}

/// The HTTP status that `error` reports, if the hub answered at all.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_ids_are_one_or_two_words() {
        for id in ["bert-base-uncased", "colbert-ir/colbertv2.0", "a/b_c"] {
            assert!(RepoId::parse(id).is_some(), "{id}");
        }
        for id in ["", "/a", "a/", "a/b/c", "./a", "../a", "a b", "~/a", "a/.b"] {
            assert!(RepoId::parse(id).is_none(), "{id}");
        }
    }
}
