//! Where the texts of an index's passages come from.
//!
//! An index of Concord records the hash of its collection, and its log where that lay. One of colbert-ai names a file in
//! its metadata, or holds the passages there; RAGatouille puts them beside it. What an index names is looked for on
//! this machine and must be a regular file with as many passages as the index; otherwise the reason is told, and
//! results have no texts.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use concord_corpus::{Collection, CorpusError, DocumentIds};
use concord_index::format::{IndexManifest, OpenedIndex};
use concord_index::passages::{PassageDb, PassageDbError};
use concord_model::stages::Passages;
use concord_tensor::BitHash;
use serde_json::Value as Json;

use crate::log::BuildLog;
use crate::recorded::is_changed;

/// RAGatouille's passages of an index.
const PASSAGES_FILE: &str = "collection.json";
/// RAGatouille's document ids, by pid.
const IDS_FILE: &str = "pid_docid_map.json";

/// Why a collection that was asked for cannot be that of the index.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    #[error(transparent)]
    Collection(#[from] CorpusError),
    #[error(transparent)]
    Passages(#[from] PassageDbError),
    /// A collection from which the texts of an index are looked up by their ids has not all of them.
    #[error("{path} does not have the text that passage `{id}` of the index was made from", path = path.display())]
    NoText { path: PathBuf, id: String },
    #[error("the index was not built from {}{reason}", path.display())]
    Other {
        path: PathBuf,
        /// How it is known, if it can be said; with what joins it to the rest.
        reason: String,
    },
}

/// An index, as far as it says what its passages are.
pub(crate) struct Named<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) index: &'a OpenedIndex,
    pub(crate) log: Option<&'a BuildLog>,
    pub(crate) manifest: Option<&'a IndexManifest>,
    pub(crate) ids: Option<&'a PassageDb>,
}

impl Named<'_> {
    /// The collection: the one at `given`, or else the one that the index names, where it can be had. Why there is
    /// none, and how far it can be told that it is the right one, goes to `notices`.
    ///
    /// # Errors
    /// When the one that was asked for cannot be read, or is another.
    pub(crate) fn texts(
        &self,
        given: Option<&Path>,
        notices: &mut Vec<String>,
    ) -> Result<Option<Collection>, TextsError> {
        if let Some(path) = given {
            let collection = Collection::open(path)?;
            if let (true, Some(ids)) = (self.is_changed(), self.ids) {
                return by_id(path, &collection, ids).map(Some);
            }
            return match self.difference(&collection) {
                None => Ok(Some(collection)),
                Some(Difference::Hash) => Err(TextsError::Other {
                    path: path.to_owned(),
                    reason: String::new(),
                }),
                Some(Difference::Passages) => Err(TextsError::Other {
                    path: path.to_owned(),
                    reason: format!(", which has {}", self.counts(&collection)),
                }),
            };
        }
        match self.named() {
            Ok(Some(collection)) => Ok(Some(self.told(collection, notices))),
            Ok(None) => Ok(None),
            Err(reason) => {
                notices.push(format!("{reason}, so results have no texts"));
                Ok(None)
            }
        }
    }

    /// The collection that the index names; nothing, if it was built from passages in memory. Or why there is none.
    fn named(&self) -> Result<Option<Found>, String> {
        if self.is_changed() {
            return Err(
                "the index was changed after it was built, so no collection is known that has its texts; --collection \
                 names one that has them all, under the ids of the index"
                    .to_owned(),
            );
        }
        if let Some(log) = self.log {
            let path = &log.origin.collection;
            return match path.as_str() {
                "" => Ok(None),
                path => self.at(Path::new(path)).map(Some),
            };
        }
        let beside = self.folder.join(PASSAGES_FILE);
        if beside.exists() {
            return self.at(&beside).map(Some);
        }
        match self.index.setting("config.collection") {
            Some(Json::String(name)) if !name.is_empty() => self.at(&self.place(name)).map(Some),
            Some(Json::Array(passages)) => self.inside(passages).map(Some),
            _ => Err("the index does not say what its passages are".to_owned()),
        }
    }

    fn is_changed(&self) -> bool {
        self.manifest.is_some_and(is_changed)
    }

    /// Where a file lies that the metadata names. The reference goes from the folder it is started in.
    fn place(&self, name: &str) -> PathBuf {
        let path = Path::new(name);
        match path.is_absolute() || path.exists() {
            true => path.to_owned(),
            false => self.folder.join(path),
        }
    }

    fn at(&self, path: &Path) -> Result<Found, String> {
        let shown = path.display();
        match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(format!("{shown} is gone"));
            }
            Err(error) => return Err(format!("{shown} cannot be read ({error})")),
            Ok(metadata) if !metadata.is_file() => {
                return Err(format!("{shown} is no regular file"));
            }
            Ok(_) => {}
        }
        let collection = Collection::open(path).map_err(|error| error.to_string())?;
        match self.difference(&collection) {
            None => Ok(Found {
                collection,
                path: Some(path.to_owned()),
            }),
            Some(Difference::Hash) => Err(format!("{shown} has changed since the index was built")),
            Some(Difference::Passages) => Err(format!("{shown} has {}", self.counts(&collection))),
        }
    }

    /// The passages that the metadata itself holds. Of more than a hundred the reference keeps three, and the number.
    fn inside(&self, passages: &[Json]) -> Result<Found, String> {
        let texts: Option<Vec<&str>> = passages.iter().map(Json::as_str).collect();
        let collection = Collection::from_passages(texts.ok_or(
            "the index was built from a list of passages, of which it keeps the first few",
        )?);
        match self.difference(&collection) {
            None => Ok(Found {
                collection,
                path: None,
            }),
            Some(_) => Err(format!(
                "the list of passages in the index has {}",
                self.counts(&collection)
            )),
        }
    }

    /// How many passages there are, and how many there should be.
    fn counts(&self, collection: &Collection) -> String {
        let (found, index) = (collection.len(), self.index.passages());
        format!("{found} passages, and the index has {index}")
    }

    fn difference(&self, collection: &Collection) -> Option<Difference> {
        let manifest = self.manifest;
        let built_from = manifest.and_then(|manifest| manifest.inputs.get("collection"));
        match built_from {
            Some(hash) if *hash != Passages::new(collection).hash() => Some(Difference::Hash),
            Some(_) => None,
            None if collection.len() != self.index.passages() => Some(Difference::Passages),
            None => None,
        }
    }

    /// The collection, with the document ids that lie beside it, and notices of both.
    fn told(&self, found: Found, notices: &mut Vec<String>) -> Collection {
        let Found {
            mut collection,
            path,
        } = found;
        let beside = path.as_deref() == Some(self.folder.join(PASSAGES_FILE).as_path());
        match path {
            Some(path) if beside => {
                let ids = path.with_file_name(IDS_FILE);
                if let Err(reason) = read_ids(&mut collection, &ids) {
                    notices.push(format!("{reason}, so results are named by their pids"));
                }
            }
            Some(path) if self.manifest.is_none() => notices.push(format!(
                "texts are those of {}, which the index names; it records no hash of them, so their number alone \
                 was compared",
                path.display()
            )),
            _ => {}
        }
        collection
    }
}

/// The texts of an index that was changed, in the order of its passages, out of a collection that has each under its id;
/// of deleted passages an empty one.
fn by_id(path: &Path, collection: &Collection, ids: &PassageDb) -> Result<Collection, TextsError> {
    let table = ids.table()?;
    let text = |id: &str| collection.text(collection.pid_of(id)?);
    let texts = table.passages().iter().map(|passage| {
        if passage.deleted {
            return Ok("");
        }
        let text = text(&passage.id);
        let same = text.filter(|text| passage.text == Some(BitHash::of_bytes(text.as_bytes())));
        same.ok_or_else(|| TextsError::NoText {
            path: path.to_owned(),
            id: passage.id.clone(),
        })
    });
    let texts: Vec<&str> = texts.collect::<Result<_, _>>()?;
    Ok(Collection::from_passages(texts))
}

/// A collection that an index names.
struct Found {
    collection: Collection,
    /// Its file; none where the metadata holds it.
    path: Option<PathBuf>,
}

/// In what a collection is not that of the index.
enum Difference {
    Hash,
    Passages,
}

/// Reads RAGatouille's document ids, where there are any.
fn read_ids(collection: &mut Collection, path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if !metadata.is_file() => {
            return Err(format!("{} is no regular file", path.display()));
        }
        _ => {}
    }
    let shown = path.display();
    let file = fs::File::open(path).map_err(|error| format!("cannot open {shown}: {error}"))?;
    let ids = collection.read_pid_map(&shown.to_string(), BufReader::new(file));
    ids.map_err(|error| error.to_string())
}
