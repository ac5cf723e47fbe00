//! Opening an index for search: every rule that makes a search valid.
//!
//! A query is comparable to an index only if it is encoded as the passages were: by the same checkpoint, with the
//! same modules in the same variants, under a numeric contract that this program knows. A text may stand beside a
//! result only if it is the text that was indexed. Checkpoint and collection are compared with the hashes that an
//! index of Concord records; of one that colbert-ai built, which records none, the width of an embedding and the
//! number of passages are. What is not given is taken from what the index records; the precision is the user's to
//! choose.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use concord_corpus::{Collection, DocumentIds, PlainPids};
use concord_index::format::{IndexError, IndexFiles, IndexManifest, ManifestError, OpenedIndex};
use concord_index::passages::PassageDb;
use concord_index::search::{Found, Hit, Request, SearchOptions, Searcher};
use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::{Compute, ComputeError, ComputeOptions};
use concord_model::checkpoint::{Checkpoint, CheckpointError};
use concord_model::config::{ColbertConfig, ConfigError, ConfigLayer};
use concord_model::hub::HubOptions;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::query::{QueryEncoder, QueryError};
use rayon::prelude::*;
use serde_json::Value as Json;

use crate::checkpoint;
use crate::log::BuildLog;
use crate::recorded::{IDS_INPUT, RecordedError, is_changed, is_of_embeddings, recorded_options};
use crate::texts::{Named, TextsError};

/// An index whose files have no more bytes than this is checked while it is opened: in some milliseconds, so that
/// what is wrong with it is told early. A larger one is checked by the first search.
const CHECKED_WHILE_OPENED: u64 = 4 << 20;

/// Queries that one thread encodes together, where there are enough: of 32 tokens each, two parts of what the encoder
/// takes at once.
const ENCODED_TOGETHER: usize = 6;

/// What to search with instead of what the index records.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The checkpoint that encodes queries, as [`checkpoint::load`] names it; the index's own if unset.
    pub checkpoint: Option<String>,
    /// The collection, for texts and outside ids; the one that the index was built from if unset, as far as it
    /// is still there.
    pub collection: Option<PathBuf>,
    /// The precision in which queries are encoded; the index's own if unset.
    pub precision: Option<Precision>,
    /// Tokens per query, special tokens and `[MASK]`s included; what the index and its checkpoint set if unset.
    pub query_maxlen: Option<usize>,
    pub compute: ComputeOptions,
    /// How to reach the hub, if the checkpoint is one of it.
    pub hub: HubOptions,
}

impl OpenOptions {
    /// Everything as the index records it, on the fastest instruction set and all threads of this machine.
    pub fn new(hub: HubOptions) -> OpenOptions {
        OpenOptions {
            checkpoint: None,
            collection: None,
            precision: None,
            query_maxlen: None,
            compute: ComputeOptions::default(),
            hub,
        }
    }
}

/// Why an index cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The index was built by a later version of Concord.
    #[error(
        "the index was built under numeric contract {0}, and this program computes under {CONTRACT_VERSION}: \
         use the version of Concord that built it"
    )]
    Contract(u32),
    /// Neither the index nor its log names a checkpoint, and none is given.
    #[error("the index does not name its checkpoint, so it has to be named")]
    NoCheckpoint,
    /// The checkpoint that the index names cannot be loaded.
    #[error("the checkpoint of the index: {0}")]
    Checkpoint(#[source] CheckpointError),
    #[error("the index was not built with the checkpoint {0}")]
    OtherCheckpoint(String),
    /// The checkpoint makes embeddings of another width.
    #[error(
        "the checkpoint {name} makes embeddings of {dim} dimensions, and those of the index have {index}"
    )]
    Width {
        name: String,
        dim: usize,
        index: usize,
    },
    /// The collection that was asked for cannot be read, or is another.
    #[error(transparent)]
    Collection(#[from] TextsError),
    /// The manifest says in no way that this program knows how the passages were encoded.
    #[error(transparent)]
    Recorded(#[from] RecordedError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A text, for an index that was opened for embeddings.
    #[error(
        "the index was opened for queries that are embeddings, and has no checkpoint for texts"
    )]
    NoEncoder,
    #[error("the embeddings of the query are {found} wide, and those of the index {index}")]
    Width { found: usize, index: usize },
    #[error("{numbers} numbers are not the embeddings of a query, which have {width} each")]
    NotRows { numbers: usize, width: usize },
    #[error("the embedding {0} of the query is not finite")]
    NotFinite(usize),
    /// The index was found to be damaged when its bytes were checked.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// An index that can be searched, with what encodes its queries and, where it can be had, its collection.
///
/// It owns all of it and is cheap to share: `Send` and `Sync`, behind an [`Arc`] where several need it.
pub struct OpenIndex {
    compute: Compute,
    index: OpenedIndex,
    /// Made once the index has been checked.
    searcher: OnceLock<Searcher>,
    /// Of an index that is searched for embeddings alone, none.
    texts: Option<TextQueries>,
    config: ColbertConfig,
    collection: Option<Arc<Collection>>,
    ids: Option<Arc<PassageDb>>,
    /// What is known of the passages, read while it was opened or when somebody asked; nothing in an index that has no
    /// such table.
    known: OnceLock<Option<Arc<PassageDb>>>,
    notices: Vec<String>,
}

/// What turns the texts of queries into embeddings.
struct TextQueries {
    encoder: QueryEncoder,
    checkpoint: Arc<Checkpoint>,
}

impl OpenIndex {
    /// Opens the index in `folder`. Of a large index the bytes of large files are not read before the first search, which
    /// checks them: no result comes from bytes that are not as they were written.
    ///
    /// # Errors
    /// When it is damaged, as far as that is found by now, or would be searched with another checkpoint, collection or
    /// contract than it was built with.
    pub fn open(folder: &Path, options: OpenOptions) -> Result<OpenIndex, OpenError> {
        OpenIndex::opened(folder, options, true)
    }

    /// [`OpenIndex::open`] for queries that are embeddings: no checkpoint is loaded, and queries that are texts are
    /// refused.
    ///
    /// # Errors
    /// As [`OpenIndex::open`], but for the checkpoint.
    pub fn open_for_embeddings(
        folder: &Path,
        options: OpenOptions,
    ) -> Result<OpenIndex, OpenError> {
        OpenIndex::opened(folder, options, false)
    }

    fn opened(
        folder: &Path,
        options: OpenOptions,
        for_texts: bool,
    ) -> Result<OpenIndex, OpenError> {
        let (index, recorded, ids) = IndexFiles::read(folder, |files| {
            let index = OpenedIndex::of(files)?;
            if index.unchecked_bytes() <= CHECKED_WHILE_OPENED {
                index.checked()?;
            }
            let files = index.files();
            let manifest = files.manifest();
            // Plain ids are the passages' numbers, and there is nothing to look up.
            let own_ids = manifest.is_some_and(|manifest| {
                manifest.inputs.contains_key(IDS_INPUT) || is_changed(manifest)
            });
            let ids = if own_ids { files.passages()? } else { None };
            let recorded = Recorded {
                log: BuildLog::of(index.files().folder()),
                manifest: index.files().manifest().cloned(),
            };
            Ok::<_, OpenError>((index, recorded, ids))
        })?;
        recorded.check_contract()?;
        let mut notices = Vec::new();
        let named = Named {
            folder,
            index: &index,
            log: recorded.log.as_ref(),
            manifest: recorded.manifest.as_ref(),
            ids: ids.as_ref(),
        };
        let collection = named.texts(options.collection.as_deref(), &mut notices)?;
        // Where texts are known by the collection as it was built from, so are ids.
        let changed = recorded.manifest.as_ref().is_some_and(is_changed);
        let known = match ids.map(Arc::new) {
            Some(ids) => OnceLock::from(Some(ids)),
            None => OnceLock::new(),
        };
        let ids = known.get().cloned().flatten();
        let ids = ids.filter(|ids| ids.own_ids() && (changed || collection.is_none()));
        let compute = Compute::new(&options.compute)?;
        let own = layer(folder, &index)?;
        let (texts, config) = match for_texts {
            true => {
                let checkpoint = recorded.checkpoint(&index, options.checkpoint, &options.hub)?;
                let (numerics, built_in) = recorded.encoding(&mut notices)?;
                let precision = options.precision.unwrap_or(built_in);
                let asked = ConfigLayer {
                    query_maxlen: options.query_maxlen,
                    ..ConfigLayer::default()
                };
                // How texts become embeddings, an index of given ones does not know.
                let own = match recorded.is_of_embeddings() {
                    true => ConfigLayer::default(),
                    false => own,
                };
                let config = checkpoint.colbert_config([&own, &asked])?;
                let encoder =
                    QueryEncoder::new(&checkpoint, &config, &numerics, precision, &compute)?;
                notices.extend(encoder.notices());
                let checkpoint = Arc::new(checkpoint);
                let texts = TextQueries {
                    encoder,
                    checkpoint,
                };
                (Some(texts), config)
            }
            false => (None, ColbertConfig::resolve([&own])),
        };
        Ok(OpenIndex {
            texts,
            index,
            searcher: OnceLock::new(),
            compute,
            config,
            collection: collection.map(Arc::new),
            ids,
            known,
            notices,
        })
    }

    /// The best `k` passages for the text of a query, best first, by pid where scores are equal.
    ///
    /// # Errors
    /// Those of [`OpenIndex::answer`].
    pub fn search(
        &self,
        query: &str,
        k: usize,
        options: &SearchOptions,
    ) -> Result<Vec<Hit>, SearchError> {
        Ok(self.find(query, k, options)?.hits)
    }

    /// [`OpenIndex::search`], and how much of the index it looked at.
    ///
    /// # Errors
    /// Those of [`OpenIndex::answer`].
    pub fn find(
        &self,
        query: &str,
        k: usize,
        options: &SearchOptions,
    ) -> Result<Found, SearchError> {
        self.answer(query, &Request::new(k, options))
    }

    /// What is found for the text of a query as the request says.
    ///
    /// # Errors
    /// When the text is empty or cannot be tokenized, or its embeddings come out as something else than finite numbers;
    /// when the index is damaged.
    pub fn answer(&self, query: &str, request: &Request<'_>) -> Result<Found, SearchError> {
        Ok(self.answer_together(&[query], request)?.remove(0))
    }

    /// [`OpenIndex::answer`] for several queries, divided among the threads that the caller is on: the same results, in the
    /// same order.
    ///
    /// # Errors
    /// As [`OpenIndex::answer`], for the first query that cannot be answered.
    pub fn answer_all(
        &self,
        queries: &[&str],
        request: &Request<'_>,
    ) -> Result<Vec<Found>, SearchError> {
        let of_a_thread = queries.len().div_ceil(self.compute.threads().max(1));
        let groups = queries.par_chunks(of_a_thread.clamp(1, ENCODED_TOGETHER));
        let found = groups
            .with_max_len(1)
            .map(|group| self.answer_together(group, request));
        let found: Vec<Result<Vec<Found>, SearchError>> = found.collect();
        let found: Vec<Vec<Found>> = found.into_iter().collect::<Result<_, _>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    fn answer_together(
        &self,
        queries: &[&str],
        request: &Request<'_>,
    ) -> Result<Vec<Found>, SearchError> {
        if queries.iter().any(|query| query.trim().is_empty()) {
            return Err(QueryError::Empty.into());
        }
        let encoder = self.encoder().ok_or(SearchError::NoEncoder)?;
        let searcher = self.searcher()?;
        let answer = |embeddings: Result<Vec<f32>, QueryError>| {
            Ok(searcher.answer(&embeddings?, self.config.query_maxlen, request))
        };
        let encoded = encoder.encode_all(queries).into_iter();
        encoded.map(answer).collect()
    }

    /// What is found for the embeddings `(tokens, width)` of a query, all of which choose candidates.
    ///
    /// # Errors
    /// When they are not as wide as the index, there are none, or some are not finite; when the index is damaged.
    pub fn answer_embeddings(
        &self,
        query: &[f32],
        width: usize,
        request: &Request<'_>,
    ) -> Result<Found, SearchError> {
        let index = self.index.dim();
        if width != index {
            return Err(SearchError::Width {
                found: width,
                index,
            });
        }
        if query.is_empty() || !query.len().is_multiple_of(width) {
            return Err(SearchError::NotRows {
                numbers: query.len(),
                width,
            });
        }
        if let Some(at) = query.iter().position(|value| !value.is_finite()) {
            return Err(SearchError::NotFinite(at / width));
        }
        let searcher = self.searcher()?;
        Ok(searcher.answer(query, query.len() / width, request))
    }

    /// How much is searched where nobody says otherwise: what the index's and the checkpoint's configuration
    /// set.
    pub fn search_options(&self) -> SearchOptions {
        let threshold = self.config.centroid_score_threshold;
        SearchOptions {
            ncells: self.config.ncells,
            centroid_score_threshold: threshold.map(|threshold| threshold as f32),
            ndocs: self.config.ndocs,
            ..SearchOptions::default()
        }
    }

    /// The threads that searches are divided among, by [`Compute::install`].
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// The index: what is known of it without its large files.
    pub fn index(&self) -> &OpenedIndex {
        &self.index
    }

    /// What searches the index for embeddings. The first call, be it that of a search, checks every byte of the index
    /// that was not checked while it was opened; others wait for it.
    ///
    /// # Errors
    /// When the index is damaged, or holds what no index holds.
    pub fn searcher(&self) -> Result<&Searcher, IndexError> {
        let index = self.index.checked()?;
        let new = || Searcher::new(Arc::clone(index), &self.compute);
        Ok(self.searcher.get_or_init(new))
    }

    /// What encodes the texts of queries; none where it is searched for embeddings alone.
    pub fn encoder(&self) -> Option<&QueryEncoder> {
        self.texts.as_ref().map(|texts| &texts.encoder)
    }

    /// The checkpoint of the encoder.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.texts.as_ref().map(|texts| texts.checkpoint.as_ref())
    }

    /// The configuration that queries are encoded and searched under: the checkpoint's, then the index's.
    pub fn config(&self) -> &ColbertConfig {
        &self.config
    }

    /// The collection that the index was built from; `None` where it is gone, has changed since, or is not known.
    pub fn collection(&self) -> Option<&Collection> {
        self.collection.as_deref()
    }

    /// The ids of the passages, by which the outside knows them.
    pub fn documents(&self) -> &dyn DocumentIds {
        match (&self.ids, &self.collection) {
            (Some(ids), _) => ids.as_ref(),
            // Of an index that was changed, the collection has the texts alone, in the order of its passages.
            (None, Some(collection)) => collection.as_ref(),
            (None, None) => &PlainPids,
        }
    }

    /// The table of what is known of the passages; `None` where the index has none. The first call may read it.
    ///
    /// # Errors
    /// When it is not as the manifest says.
    pub fn known(&self) -> Result<Option<&PassageDb>, IndexError> {
        if let Some(known) = self.known.get() {
            return Ok(known.as_deref());
        }
        let read = self.index.files().passages()?.map(Arc::new);
        Ok(self.known.get_or_init(|| read).as_deref())
    }

    /// Whether [`OpenIndex::documents`] knows more than the passages' numbers.
    pub fn has_own_ids(&self) -> bool {
        let collection = self.collection.as_ref();
        self.ids.is_some() || collection.is_some_and(|texts| texts.has_external_ids())
    }

    /// Notices for the user: why there are no texts, and what of the queries' layout the checkpoint lacks.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }
}

/// The configuration in the metadata of an index, as it was read with the index.
fn layer(folder: &Path, index: &OpenedIndex) -> Result<ConfigLayer, ConfigError> {
    let file = folder.join("metadata.json").display().to_string();
    match index.setting("config") {
        Some(Json::Object(config)) => ConfigLayer::from_map(&file, config),
        _ => Err(ConfigError::MissingKey {
            file,
            key: "config",
        }),
    }
}

/// What an index says of how it was built: the manifest, which is checked, and the log, which may have moved.
struct Recorded {
    log: Option<BuildLog>,
    manifest: Option<IndexManifest>,
}

impl Recorded {
    /// Indexes of earlier contracts are searched: what their queries are compared with lies in the index.
    fn check_contract(&self) -> Result<(), OpenError> {
        match &self.manifest {
            Some(manifest) if manifest.contract > CONTRACT_VERSION => {
                Err(OpenError::Contract(manifest.contract))
            }
            _ => Ok(()),
        }
    }

    /// Whether it was built from embeddings instead of texts.
    fn is_of_embeddings(&self) -> bool {
        let manifest = self.manifest.as_ref();
        manifest.is_some_and(is_of_embeddings)
    }

    fn checkpoint(
        &self,
        index: &OpenedIndex,
        given: Option<String>,
        hub: &HubOptions,
    ) -> Result<Checkpoint, OpenError> {
        // An index of given embeddings names none.
        let logged = || Some(self.log.as_ref()?.origin.checkpoint.clone());
        let logged = || logged().filter(|name| !name.is_empty());
        let configured = || {
            let name = index.setting("config.checkpoint")?;
            name.as_str().map(str::to_owned)
        };
        let name = given.or_else(logged).or_else(configured);
        let name = name.ok_or(OpenError::NoCheckpoint)?;
        let checkpoint = checkpoint::load(&name, hub).map_err(OpenError::Checkpoint)?;
        let manifest = self.manifest.as_ref();
        let built_with = manifest.and_then(|manifest| manifest.inputs.get("checkpoint"));
        if built_with.is_some_and(|hash| *hash != checkpoint.hash()) {
            return Err(OpenError::OtherCheckpoint(name));
        }
        let dim = checkpoint.weights().dim();
        if dim != index.dim() {
            let index = index.dim();
            return Err(OpenError::Width { name, dim, index });
        }
        Ok(checkpoint)
    }

    /// How the passages were encoded, and so how queries are; those of an index of the referee's in `f32`, which is
    /// as near as its halves are.
    fn encoding(&self, notices: &mut Vec<String>) -> Result<(Numerics, Precision), RecordedError> {
        let Some(manifest) = &self.manifest else {
            return Ok((Numerics::default(), Precision::default()));
        };
        if self.is_of_embeddings() {
            let unknown = "the index was built from embeddings, and whether they are those of this checkpoint is not \
                           known: only the widths were compared";
            notices.push(unknown.to_owned());
            return Ok((Numerics::default(), Precision::default()));
        }
        let recorded = recorded_options(manifest)?;
        let precision = match recorded.precision {
            Precision::F64 => Precision::F32,
            precision => precision,
        };
        Ok((recorded.numerics, precision))
    }
}
