//! Searching indexes.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::open::{self, OpenError, OpenIndex, SearchError};
use concord_index::passages::Field;
use concord_index::search::{Found, PassageSet, Request, SearchOptions};
use concord_kernels::compute::ComputeOptions;
use concord_model::hub::HubOptions;
use concord_model::precision::Precision;

use crate::checkpoint::usual_hub;
use crate::error::Error;

/// Searches an index. It owns what it needs; clones share it, and any number of threads may search at once.
#[derive(Clone)]
pub struct Searcher(Arc<OpenIndex>);

/// A passage that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The passage's id in its collection: the one from outside where the collection has such, else its pid.
    pub id: String,
    /// The passage's place in the collection, from 0.
    pub pid: u32,
    /// Its MaxSim score: over the query's tokens, the sum of the similarity to the nearest token.
    pub score: f32,
}

/// What was found, and how much was looked at for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The passages, best first, by pid where scores are equal.
    pub hits: Vec<Hit>,
    /// The passages that were searched: those listed under the centroids that the query's tokens picked, or, in an exact
    /// search, all that it is among.
    pub searched: usize,
    /// Those of them whose score was computed.
    pub scored: usize,
}

/// What to open an index with instead of what it records.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The checkpoint, where it no longer lies where the index was built with it.
    pub checkpoint: Option<String>,
    /// The collection, where it has moved.
    pub collection: Option<PathBuf>,
    /// The precision in which queries are encoded; the one of the index if unset.
    pub precision: Option<Precision>,
    /// The tokens of a query: a longer one is cut, a shorter one filled up with `[MASK]`s, which are searched too. What
    /// the index and its checkpoint set if unset.
    pub query_maxlen: Option<usize>,
    /// How many threads to use; all if unset.
    pub threads: Option<NonZeroUsize>,
    /// How to reach the hub; as [`Checkpoint::load`](crate::Checkpoint::load) does if unset.
    pub hub: Option<HubOptions>,
}

impl OpenOptions {
    fn of_engine(self) -> open::OpenOptions {
        open::OpenOptions {
            checkpoint: self.checkpoint,
            collection: self.collection,
            precision: self.precision,
            query_maxlen: self.query_maxlen,
            compute: ComputeOptions::default().with_threads(self.threads),
            hub: self.hub.unwrap_or_else(usual_hub),
        }
    }
}

impl Searcher {
    /// Opens the index in a folder, Concord's or one that colbert-ai built, with the checkpoint, precision and
    /// settings that it was built with.
    ///
    /// # Errors
    /// [`Error::Open`] when a file of an index of Concord is not as it was written, when the files of any index do
    /// not fit together, and when its checkpoint is gone or, as far as the index recorded it, another one. The bytes of
    /// an index of more than 4 MiB are checked by the first search, which then is what fails.
    pub fn open(index: impl AsRef<Path>) -> Result<Searcher, Error> {
        Searcher::open_with(index, OpenOptions::default())
    }

    /// [`Searcher::open`] with something else than the index records.
    ///
    /// # Errors
    /// As [`Searcher::open`]; and when what is given is not what the index was built from.
    pub fn open_with(index: impl AsRef<Path>, options: OpenOptions) -> Result<Searcher, Error> {
        let opened = OpenIndex::open(index.as_ref(), options.of_engine())?;
        Ok(Searcher(Arc::new(opened)))
    }

    /// Opens an index for queries that are embeddings: [`Searcher::answer_embeddings`]. It needs no checkpoint, and texts
    /// are refused.
    ///
    /// # Errors
    /// As [`Searcher::open_with`].
    pub fn open_for_embeddings(
        index: impl AsRef<Path>,
        options: OpenOptions,
    ) -> Result<Searcher, Error> {
        let opened = OpenIndex::open_for_embeddings(index.as_ref(), options.of_engine())?;
        Ok(Searcher(Arc::new(opened)))
    }

    /// The best `k` passages for a query, best first, by pid where scores are equal.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub fn search(&self, query: &str, k: usize) -> Result<Vec<Hit>, Error> {
        self.search_with(query, k, &self.0.search_options())
    }

    /// [`Searcher::search`] that looks at more of the index, or at less.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub fn search_with(
        &self,
        query: &str,
        k: usize,
        options: &SearchOptions,
    ) -> Result<Vec<Hit>, Error> {
        Ok(self.answer(query, &Request::new(k, options))?.hits)
    }

    /// The passages that a request asks for: by ColBERT's stages or for certain ([`Request::exact`]), among all
    /// passages or some of them ([`Searcher::among`]).
    ///
    /// # Errors
    /// [`Error::Query`]; [`Error::Open`] when the index turns out to be damaged.
    pub fn answer(&self, query: &str, request: &Request<'_>) -> Result<Answer, Error> {
        let index = &self.0;
        let found = index.compute().install(|| index.answer(query, request))?;
        Ok(self.named(found))
    }

    /// [`Searcher::answer`] for a query's embeddings `(tokens, width)`, one token after another. The width is asked for so
    /// that embeddings of another are not taken for more tokens.
    ///
    /// That they were made as those of the passages were is the caller's to know: another checkpoint's are searched for
    /// as well, and find nothing that means anything.
    ///
    /// # Errors
    /// [`Error::Search`] when they are not as wide as the index, or not finite; [`Error::Open`] when the index turns out
    /// to be damaged.
    pub fn answer_embeddings(
        &self,
        query: &[f32],
        width: usize,
        request: &Request<'_>,
    ) -> Result<Answer, Error> {
        let index = &self.0;
        let answer = || index.answer_embeddings(query, width, request);
        Ok(self.named(index.compute().install(answer)?))
    }

    fn named(&self, found: Found) -> Answer {
        let ids = self.0.documents();
        let hit = |hit: concord_index::search::Hit| Hit {
            id: ids.external_id(hit.pid).into_owned(),
            pid: hit.pid,
            score: hit.score,
        };
        Answer {
            hits: found.hits.into_iter().map(hit).collect(),
            searched: found.candidates,
            scored: found.scored,
        }
    }

    /// The passages of these ids, for [`Request::among`].
    ///
    /// # Errors
    /// [`Error::UnknownId`] for the first id that no passage of the index has.
    pub fn among<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<PassageSet, Error> {
        let known = self.0.documents();
        let passages = self.passages();
        let mut pids = Vec::new();
        for id in ids {
            let id = id.as_ref();
            let pid = known.pid_of(id).filter(|pid| (*pid as usize) < passages);
            pids.push(pid.ok_or_else(|| Error::UnknownId(id.to_owned()))?);
        }
        PassageSet::of(pids, passages).map_err(|unknown| Error::UnknownId(unknown.pid.to_string()))
    }

    /// The passages whose metadata fits conditions, for [`Request::among`]. With [`PassageSet::keep`], those that are in
    /// another set too.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), concord::Error> {
    /// let searcher = concord::Searcher::open("index")?;
    /// let recent = searcher.among_where("year > 2020 AND lang IN ('en', 'de')")?;
    /// let request = concord::Request {
    ///     among: Some(&recent),
    ///     ..concord::Request::new(10, &searcher.search_options())
    /// };
    /// let answer = searcher.answer("parking fine", &request)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `= != <> < <= > >=`, `[NOT] IN`, `[NOT] BETWEEN`, `[NOT] LIKE` and `IS [NOT] NULL` are joined by `AND`, `OR`, `NOT` and
    /// parentheses. Texts stand in single quotes and are compared by their bytes, fields whose names are no words in double
    /// quotes. Where a passage has not the field, or has it with a value of another kind, a condition is neither true nor
    /// false, as `NULL` is in SQL. Nothing of the text becomes a part of SQL.
    ///
    /// # Errors
    /// [`Error::Filter`] when the text cannot be read, no passage has a field, or none with values of the kind that it is
    /// compared with; [`Error::Open`] when the index turns out to be damaged.
    pub fn among_where(&self, conditions: &str) -> Result<PassageSet, Error> {
        Ok(self.0.choose(conditions)?)
    }

    /// The fields of the passages' metadata, by their names.
    ///
    /// # Errors
    /// [`Error::Open`] when the index turns out to be damaged.
    pub fn fields(&self) -> Result<&[Field], Error> {
        self.0
            .fields()
            .map_err(|error| OpenError::Index(error).into())
    }

    /// The metadata of a passage, a JSON object with its keys in the order of their bytes; `None` where it has none.
    ///
    /// # Errors
    /// As [`Searcher::fields`].
    pub fn metadata(&self, pid: u32) -> Result<Option<String>, Error> {
        self.0
            .metadata(pid)
            .map_err(|error| OpenError::Index(error).into())
    }

    /// [`Searcher::search`] for several queries, divided among the threads: the same results in the same order.
    ///
    /// # Errors
    /// [`Error::Query`], for the first query that cannot be encoded.
    pub fn search_all<S: AsRef<str>>(
        &self,
        queries: &[S],
        k: usize,
    ) -> Result<Vec<Vec<Hit>>, Error> {
        let index = &self.0;
        let options = index.search_options();
        let request = Request::new(k, &options);
        let queries: Vec<&str> = queries.iter().map(AsRef::as_ref).collect();
        let found = index
            .compute()
            .install(|| index.answer_all(&queries, &request))?;
        Ok(found
            .into_iter()
            .map(|found| self.named(found).hits)
            .collect())
    }

    /// How many tokens of a query are not searched, since it is longer than the index's `query_maxlen`: 0 only if it fits,
    /// and at least so many of a very long one. [`OpenOptions::query_maxlen`] makes room.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub fn lost_tokens(&self, query: &str) -> Result<usize, Error> {
        let encoder = self.0.encoder().ok_or(SearchError::NoEncoder)?;
        Ok(encoder.lost_tokens(query)?)
    }

    /// The text of a passage; `None` where the collection is not at hand, as [`Searcher::notices`] says.
    pub fn text(&self, pid: u32) -> Option<&str> {
        self.0
            .collection()
            .and_then(|collection: &Collection| collection.text(pid))
    }

    /// How much of the index a search looks at by default. What is `None` follows from `k`.
    pub fn search_options(&self) -> SearchOptions {
        self.0.search_options()
    }

    /// How many passages there are.
    pub fn passages(&self) -> usize {
        self.0.index().passages()
    }

    /// Notices for the user: why there are no texts, and what of the queries' layout the checkpoint lacks.
    pub fn notices(&self) -> &[String] {
        self.0.notices()
    }
}
