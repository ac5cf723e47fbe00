//! Checkpoints.

use std::path::Path;
use std::sync::Arc;

use concord_engine::{checkpoint, embedded};
use concord_model::checkpoint::Checkpoint as Loaded;
use concord_model::hub::HubOptions;

use crate::error::Error;

/// The name of the checkpoint that is part of this library: small, for trying things out and for tests.
pub const EMBEDDED: &str = embedded::CHECKPOINT;

/// A trained encoder with its tokenizer and its settings. To clone it shares the weights.
#[derive(Clone)]
pub struct Checkpoint {
    name: String,
    loaded: Arc<Loaded>,
}

impl Checkpoint {
    /// The checkpoint that `name` stands for: [`EMBEDDED`], a folder, or an id of the Hugging Face hub,
    /// `owner/name`, which is fetched unless it lies in the cache that Python's `huggingface_hub` keeps,
    /// `~/.cache/huggingface/hub`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`].
    pub fn load(name: impl AsRef<Path>) -> Result<Checkpoint, Error> {
        Checkpoint::load_with(name, &usual_hub())
    }

    /// [`Checkpoint::load`] with another cache, another hub, a token, or the cache alone.
    ///
    /// # Errors
    /// [`Error::Checkpoint`].
    pub fn load_with(name: impl AsRef<Path>, hub: &HubOptions) -> Result<Checkpoint, Error> {
        // A folder keeps its place when the program goes to another one.
        let name = checkpoint::location(&name.as_ref().to_string_lossy());
        Ok(Checkpoint {
            loaded: Arc::new(checkpoint::load(&name, hub)?),
            name,
        })
    }

    /// The name that it was loaded by; the absolute path of a folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.loaded.weights().dim()
    }

    /// SHA-256 of everything that decides what it computes, in hexadecimal: the same for a folder and its copy.
    pub fn hash(&self) -> String {
        self.loaded.hash().to_string()
    }

    pub(crate) fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }
}

/// The public hub, with the cache in the user's home.
pub(crate) fn usual_hub() -> HubOptions {
    let home = std::env::home_dir().unwrap_or_default();
    HubOptions::new(home.join(".cache/huggingface/hub"))
}
