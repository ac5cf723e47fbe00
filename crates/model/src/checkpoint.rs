//! A ColBERT checkpoint: the encoder's sizes and weights, ColBERT's settings, the tokenizer.
//!
//! A checkpoint is loaded whole and checked whole: every tensor the encoder needs is there and
//! has the shape that the configuration says, the vocabulary fits the word table, and what the
//! reference would initialise at random, or ignore, is an error or a notice. Weights are widened
//! to `f32`, which is exact, so that two files which hold the same numbers are one checkpoint.

mod content_hash;
mod differences;
mod dnn;
mod error;
mod files;
mod files_hash;
mod parts;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use concord_tensor::BitHash;

pub use error::CheckpointError;
pub use weights::{Weights, WeightsError};

use crate::architecture::{Architecture, bert};
use crate::config::{BertConfig, ColbertConfig, ConfigError, ConfigLayer};
use crate::hub::{self, HubOptions, RepoId};
use crate::tokenizer::{DocTokenizer, QueryTokenizer, TokenizerError, TokenizerFiles, WordPieces};
use files::Files;
use parts::{Base, Parts};

/// A checkpoint in memory. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    name: String,
    folder: Option<PathBuf>,
    bert: BertConfig,
    layer: ConfigLayer,
    weights: Weights,
    tokenizer_files: TokenizerFiles,
    word_pieces: WordPieces,
    notices: Vec<String>,
    hash: Arc<OnceLock<BitHash>>,
    files_hash: Arc<OnceLock<Option<BitHash>>>,
}

impl Checkpoint {
    /// Loads the checkpoint that `spec` names: a `.dnn` file, a folder, or, if there is no such
    /// folder, the id of a repository on the hub (`owner/name`), which is fetched into the cache
    /// unless it is there.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn load(spec: &str, hub: &HubOptions) -> Result<Checkpoint, CheckpointError> {
        if spec.ends_with(".dnn") {
            return Checkpoint::assemble(spec, dnn::load(spec, hub)?);
        }
        let folder = Path::new(spec);
        if folder.is_dir() {
            return Checkpoint::from_folder(spec, folder);
        }
        let repo = RepoId::parse(spec).filter(|_| !folder.exists());
        let repo = repo.ok_or_else(|| CheckpointError::NotFound {
            spec: spec.to_owned(),
        })?;
        let snapshot = hub::fetch(&repo, hub)?;
        Checkpoint::from_folder(spec, &snapshot)
    }

    fn from_folder(name: &str, folder: &Path) -> Result<Checkpoint, CheckpointError> {
        let checkpoint = Checkpoint::from_files(name, &Files::Folder(folder))?;
        Ok(Checkpoint {
            folder: Some(folder.to_owned()),
            ..checkpoint
        })
    }

    /// Loads a checkpoint whose files are part of the program: pairs of a file's name and its
    /// contents. `name` stands for the checkpoint in messages and in what is written.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn embedded(
        name: &str,
        files: &[(&'static str, &'static [u8])],
    ) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::from_files(name, &Files::Memory { name, files })
    }

    fn from_files(name: &str, files: &Files<'_>) -> Result<Checkpoint, CheckpointError> {
        let base = Base::read(files)?;
        let (layer, mut notices) = match files.text("artifact.metadata")? {
            Some(text) => {
                let place = files.place("artifact.metadata");
                (ConfigLayer::parse(&place, &text)?, Vec::new())
            }
            None => (
                ConfigLayer::default(),
                vec![
                    "the checkpoint has no artifact.metadata: ColBERT's class defaults apply"
                        .to_owned(),
                ],
            ),
        };
        let (file, sources) = files.weights()?;
        let weights = Weights::read(&base.architecture(), sources);
        let weights = weights.map_err(|source| CheckpointError::Weights {
            file,
            source: Box::new(source),
        })?;
        notices.extend(weights.notices());
        let parts = Parts {
            base,
            layer,
            weights,
            notices,
        };
        Checkpoint::assemble(name, parts)
    }

    /// Puts the parts together, checking them against each other.
    fn assemble(name: &str, parts: Parts) -> Result<Checkpoint, CheckpointError> {
        let Parts {
            base,
            mut layer,
            weights,
            notices,
        } = parts;
        if let Some(configured) = layer.dim.filter(|dim| *dim != weights.dim()) {
            return Err(CheckpointError::Config(ConfigError::Dim {
                configured,
                rows: weights.dim(),
            }));
        }
        // As the reference does: what a training run wrote here is where it started from.
        layer.checkpoint = Some(Some(name.to_owned()));
        Ok(Checkpoint {
            name: name.to_owned(),
            folder: None,
            bert: base.bert,
            layer,
            weights,
            tokenizer_files: base.tokenizer_files,
            word_pieces: base.word_pieces,
            notices,
            hash: Arc::default(),
            files_hash: Arc::default(),
        })
    }

    /// What the user called the checkpoint: a folder, a hub id, a `.dnn` file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that holds its files, if they are in one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    pub fn bert_config(&self) -> &BertConfig {
        &self.bert
    }

    /// Its modules and their parameters.
    pub fn architecture(&self) -> Architecture {
        bert::architecture(&self.bert)
    }

    /// The encoder's tensors and ColBERT's projection, in `f32`.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The settings that the checkpoint assigns: those of `artifact.metadata`, and `checkpoint`,
    /// which is its own name.
    pub fn config_layer(&self) -> &ConfigLayer {
        &self.layer
    }

    /// The settings that apply: the class defaults, overridden by the checkpoint's, overridden by
    /// each of `overrides` in turn, and checked against the encoder.
    ///
    /// # Errors
    /// Those of [`ColbertConfig::check`].
    pub fn colbert_config<'a>(
        &'a self,
        overrides: impl IntoIterator<Item = &'a ConfigLayer>,
    ) -> Result<ColbertConfig, ConfigError> {
        let layers = std::iter::once(&self.layer).chain(overrides);
        let config = ColbertConfig::resolve(layers);
        config.check(self.weights.dim(), self.bert.max_position_embeddings)?;
        Ok(config)
    }

    pub fn word_pieces(&self) -> &WordPieces {
        &self.word_pieces
    }

    /// The tokenizer for documents under `config`.
    ///
    /// # Errors
    /// Those of [`DocTokenizer::new`].
    pub fn doc_tokenizer(&self, config: &ColbertConfig) -> Result<DocTokenizer, TokenizerError> {
        DocTokenizer::new(self.word_pieces.clone(), config)
    }

    /// The tokenizer for queries under `config`.
    ///
    /// # Errors
    /// Those of [`QueryTokenizer::new`].
    pub fn query_tokenizer(
        &self,
        config: &ColbertConfig,
    ) -> Result<QueryTokenizer, TokenizerError> {
        let positions = self.bert.max_position_embeddings;
        QueryTokenizer::new(self.word_pieces.clone(), config, positions)
    }

    /// Whether the file has the pooler's tensors. Nothing is computed with them; but where they
    /// are missing the reference draws them at random, which advances its generator and changes
    /// its later shuffle of the sample.
    pub fn has_pooler(&self) -> bool {
        self.weights.has_pooler()
    }

    /// Notices for the user about what was loaded.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The hash of everything in the checkpoint that decides what is computed with it. Where the
    /// checkpoint lies and how its weights are stored does not go in.
    ///
    /// The preimage is text, one line each: `concord checkpoint 1`; `encoder ` and `settings `
    /// with the JSON of [`BertConfig`] and of the [`ConfigLayer`] without `checkpoint`; `pooler `
    /// and whether it is there; `file NAME HASH` for each tokenizer file used, `tensor NAME HASH`
    /// for each tensor, both by name.
    ///
    /// Made when it is first asked for. [`Checkpoint::files_hash`] is another.
    pub fn hash(&self) -> BitHash {
        let Checkpoint {
            bert,
            layer,
            tokenizer_files,
            weights,
            ..
        } = self;
        let made = || content_hash::of(bert, layer, tokenizer_files, weights);
        *self.hash.get_or_init(made)
    }

    /// The hash of names and contents of its files, by which the agent knows a checkpoint that Concord did not name
    /// to it. Made when it is first asked for. `None` where its files lie in no folder, or cannot be read any more.
    pub fn files_hash(&self) -> Option<BitHash> {
        let folder = self.folder.as_deref();
        *self.files_hash.get_or_init(|| files_hash::of(folder?).ok())
    }

    /// In what it differs from `other`, A and B in the words, each as what follows "they differ in": tensors, with the
    /// first element of the first that is not the same; fields of the configurations; files of the tokenizer. Empty
    /// for checkpoints of one [`hash`](Checkpoint::hash).
    pub fn differences(&self, other: &Checkpoint) -> Vec<String> {
        let of = |checkpoint: &'_ Checkpoint| differences::Described {
            encoder: serde_json::to_value(&checkpoint.bert).unwrap_or_default(),
            settings: serde_json::to_value(ConfigLayer {
                checkpoint: None,
                ..checkpoint.layer.clone()
            })
            .unwrap_or_default(),
            tokenizer: checkpoint.tokenizer_files.hashes(),
            has_pooler: checkpoint.has_pooler(),
        };
        differences::between([&self.weights, &other.weights], [&of(self), &of(other)])
    }
}
