//! An index that is about to be changed.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use concord_corpus::Collection;
use concord_index::format::{
    CODEC_FILES, IndexFiles, IndexManifest, IndexTensors, PASSAGES_FILE, PassageRows, Run,
};
use concord_index::passages::{PassageDb, PassageTable};
use concord_index::verify::Finding;
use concord_kernels::CONTRACT_VERSION;
use concord_model::config::{ColbertConfig, ConfigError, ConfigLayer};
use concord_model::stages::Passages;
use concord_tensor::BitHash;
use serde_json::Value as Json;

use super::error::ChangeError;
use super::lock::Locked;
use crate::log::BuildLog;
use crate::passages::table_of;
use crate::recorded::{RecordedError, recorded_partitions};

/// The option that says where inputs lay.
const ABSOLUTE_PATHS: &str = "absolute_paths";

/// An index of this program, held by a lock, with what is known of its passages.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) tensors: IndexTensors,
    /// As a changed index has it, but for its inputs and what it is made of.
    pub(super) manifest: IndexManifest,
    pub(super) config: ColbertConfig,
    pub(super) table: PassageTable,
    pub(super) log: Option<BuildLog>,
    pub(super) seed: u32,
    pub(super) partitions: Option<NonZeroUsize>,
    pub(super) pad_ivf: bool,
    width: usize,
    _lock: Locked,
}

impl Opened {
    /// Opens an index to change it.
    ///
    /// # Errors
    /// When it is none, is not this program's, or another process changes it.
    pub(super) fn alone(path: &Path) -> Result<(Opened, PassageRows), ChangeError> {
        Opened::of(path, Locked::alone(path)?)
    }

    /// Opens an index to read it.
    ///
    /// # Errors
    /// As [`Opened::alone`].
    pub(super) fn shared(path: &Path) -> Result<(Opened, PassageRows), ChangeError> {
        Opened::of(path, Locked::shared(path)?)
    }

    fn of(path: &Path, lock: Locked) -> Result<(Opened, PassageRows), ChangeError> {
        let tensors = IndexTensors::of(IndexFiles::open(path)?)?;
        let manifest = tensors.files().manifest().cloned();
        let mut manifest = manifest.ok_or_else(|| ChangeError::NoManifest(path.to_owned()))?;
        if manifest.contract != CONTRACT_VERSION {
            return Err(ChangeError::Contract {
                path: path.to_owned(),
                contract: manifest.contract,
            });
        }
        let log = BuildLog::of(tensors.files().folder());
        let table = table(path, &tensors, &manifest, log.as_ref())?;
        let mut config = config(path, &tensors)?;
        // A collection is no longer what the index is made of.
        config.collection = Json::Null;
        if let Some(paths) = manifest.options.get_mut(ABSOLUTE_PATHS)
            && let Some(paths) = paths.as_object_mut()
        {
            paths.remove("collection");
        }
        let width = config.dim / 8 * config.nbits;
        let rows = PassageRows::of_index(&tensors, width)?;
        if rows.passages() != table.len() {
            return Err(ChangeError::OtherPassages {
                path: path.to_owned(),
                found: table.len(),
                passages: rows.passages(),
            });
        }
        let seed = manifest.options.get("seed").and_then(Json::as_u64);
        let seed = seed.and_then(|seed| u32::try_from(seed).ok());
        let seed = seed.ok_or_else(|| RecordedError::Unknown("seed".to_owned()))?;
        let pad_ivf = manifest.options.get("pad_ivf").and_then(Json::as_bool);
        let opened = Opened {
            path: path.to_owned(),
            tensors,
            config,
            table,
            log,
            seed,
            partitions: recorded_partitions(&manifest)?,
            pad_ivf: pad_ivf.unwrap_or(false),
            width,
            manifest,
            _lock: lock,
        };
        Ok((opened, rows))
    }

    /// The bytes of a packed residual.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether the index names where its inputs lie.
    pub(super) fn absolute_paths(&self) -> bool {
        self.manifest.options.contains_key(ABSOLUTE_PATHS)
    }

    pub(super) fn checkpoint(&self) -> Option<&BitHash> {
        self.manifest.inputs.get("checkpoint")
    }

    /// The first thing that an index must have in common with another to be merged with it, and has not.
    pub(super) fn difference(&self, other: &Opened) -> Option<String> {
        if self.checkpoint() != other.checkpoint() {
            return Some("the checkpoint".to_owned());
        }
        let (own, others) = (&self.manifest.options, &other.manifest.options);
        let names = own.keys().chain(others.keys());
        let differs = |name: &&String| own.get(*name) != others.get(*name);
        if let Some(name) = names.into_iter().find(differs) {
            let shown = |of: Option<&Json>| of.map_or("not set".to_owned(), Json::to_string);
            let (own, other) = (shown(own.get(name)), shown(others.get(name)));
            return Some(format!("the setting {name} ({own} and {other})"));
        }
        if self.config != other.config {
            return Some("the configuration in metadata.json".to_owned());
        }
        let file = |of: &Opened, name: &str| {
            let mut files = of.manifest.files.iter();
            files.find(|file| file.name == name).map(|file| file.hash)
        };
        let mut codec = CODEC_FILES.iter();
        let other_file = codec.find(|name| file(self, name) != file(other, name));
        other_file.map(|name| format!("the codec ({name})"))
    }

    /// The passages of the index as runs of the source of that number, of a table that has them from `first` on. Those
    /// that are deleted have no embeddings any more, or are left out.
    pub(super) fn runs(
        rows: &PassageRows,
        source: usize,
        table: &PassageTable,
        first: usize,
        leave_out: bool,
    ) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let passages = table.passages().iter().skip(first);
        for (pid, (passage, &doclen)) in passages.zip(rows.doclens()).enumerate() {
            match (passage.deleted, runs.last_mut()) {
                (true, _) if leave_out => {}
                // Those that have none already are taken over with their neighbours, in files that stay as they are.
                (true, _) if doclen > 0 => runs.push(Run::Empty(1)),
                (_, Some(Run::Of { pids, .. })) if pids.end == pid => pids.end += 1,
                _ => runs.push(Run::Of {
                    source,
                    pids: pid..pid + 1,
                }),
            }
        }
        runs
    }
}

/// ColBERT's configuration in the metadata of an index.
fn config(path: &Path, tensors: &IndexTensors) -> Result<ColbertConfig, ChangeError> {
    let file = path.join("metadata.json").display().to_string();
    match tensors.setting("config") {
        Some(Json::Object(config)) => Ok(ColbertConfig::resolve([&ConfigLayer::from_map(
            &file, config,
        )?])),
        _ => Err(ConfigError::MissingKey {
            file,
            key: "config",
        }
        .into()),
    }
}

/// The table of passages that an index has, or that its collection gives.
fn table(
    path: &Path,
    tensors: &IndexTensors,
    manifest: &IndexManifest,
    log: Option<&BuildLog>,
) -> Result<PassageTable, ChangeError> {
    let mut files = manifest.files.iter();
    if let Some(record) = files.find(|file| file.name == PASSAGES_FILE) {
        return match Finding::of(tensors.files().folder(), record) {
            Some(finding) => Err(ChangeError::Damaged {
                path: path.to_owned(),
                finding,
            }),
            None => Ok(PassageDb::open(&path.join(PASSAGES_FILE))?.table()?),
        };
    }
    let no_ids = |reason: String| ChangeError::NoIds {
        path: path.to_owned(),
        reason,
    };
    let collection = log.map(|log| log.origin.collection.as_str());
    let collection = collection.filter(|collection| !collection.is_empty());
    let named = collection.ok_or_else(|| no_ids("its log does not say where it lies".into()))?;
    let collection = Collection::open(named).map_err(|error| no_ids(error.to_string()))?;
    let hash = Passages::new(&collection).hash();
    if manifest.inputs.get("collection") != Some(&hash) {
        return Err(no_ids(format!("{named} has changed since")));
    }
    Ok(table_of(&collection))
}
