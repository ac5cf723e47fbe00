//! `concord search`.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use concord_corpus::{Collection, DocumentIds, PlainPids, Qrels, Queries, Query, Ranking};
use concord_index::evaluate::evaluate;
use concord_index::format::{Index, IndexManifest};
use concord_index::search::{Hit, SearchOptions, Searcher};
use concord_kernels::maxsim::Floor;
use concord_model::checkpoint::Checkpoint;
use concord_model::config::{ColbertConfig, ConfigLayer};
use concord_model::precision::{Precision, UnknownPrecision};
use concord_model::query::QueryEncoder;
use concord_model::stages::Passages;
use concord_pipeline::Progress;
use concord_pipeline::publish::write_file;
use concord_report::{
    FoundPassage, Hit as ShownHit, Style, hits_table, metrics_table, passages_listing,
};
use concord_subject::build::BuildLog;
use rayon::prelude::*;

use crate::environment;
use crate::inputs::{ComputeArguments, checkpoint, positive, precision, score};
use crate::matches::Matcher;
use crate::output::{Failure, Outcome, print, remark, tell};
use crate::progress::Shown;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table with the passages' texts
    Table,
    /// qid, pid, rank and score, as ColBERT writes rankings
    Tsv,
    /// A TREC run
    Trec,
    /// One JSON object a line
    Json,
}

/// Search an index.
///
/// The stages and their defaults are ColBERT's; each call has its own, whatever was searched before.
/// Results are ordered by score, and by pid where scores are equal.
#[derive(Args)]
#[command(after_help = "Examples:
  concord search index \"can I appeal a parking fine\"
  concord search index \"can I appeal a parking fine\" --k 3 --matches
  concord search index --queries queries.tsv --k 100 --format trec > run.trec
  concord search index --queries queries.tsv --qrels qrels.tsv --format tsv --out ranking.tsv")]
pub struct SearchCommand {
    /// The index: Concord's, or one that colbert-ai built
    index: PathBuf,
    /// The query
    #[arg(required_unless_present = "queries", conflicts_with = "queries")]
    query: Option<String>,
    /// Queries: TSV (qid TAB text) or JSON lines
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Results per query
    #[arg(long, default_value = "10", value_parser = positive)]
    k: NonZeroUsize,
    /// How results are written [default: a table, or tsv with --queries]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Show passages in full, with the words marked that the query's words matched
    #[arg(long, conflicts_with = "json")]
    matches: bool,
    /// Write the results to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Judgements: print how good the ranking is
    #[arg(
        long,
        value_name = "FILE",
        requires = "queries",
        conflicts_with = "query"
    )]
    qrels: Option<PathBuf>,
    /// The checkpoint that encodes queries [default: the one the index was built with]
    #[arg(long, value_name = "CHECKPOINT")]
    checkpoint: Option<String>,
    /// The collection, for texts and outside ids [default: the one the index was built from]
    #[arg(long, value_name = "FILE")]
    collection: Option<PathBuf>,
    /// Centroids that each query token probes [default: by k]
    #[arg(long, value_name = "N", value_parser = positive)]
    ncells: Option<NonZeroUsize>,
    /// How near a centroid must come to count in the first filter [default: by k]
    #[arg(long, value_name = "SCORE", value_parser = score, allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Candidates that the first filter keeps; the second keeps a quarter [default: by k]
    #[arg(long, value_name = "N", value_parser = positive)]
    ndocs: Option<NonZeroUsize>,
    /// The precision in which queries are encoded: f32, f16, bf16, int8 or f64 [default: the one the index was
    /// built in]
    #[arg(long, value_name = "P", value_parser = precision)]
    precision: Option<Precision>,
    /// Take a negative similarity for zero, as the reference does on a CPU
    #[arg(long)]
    clip_negative: bool,
    #[command(flatten)]
    compute: ComputeArguments,
}

/// The precision in which an index of Concord was built; queries of the referee's are encoded in `f32`, which
/// is as near as its halves are.
fn built_precision(manifest: &IndexManifest) -> Result<Precision, Failure> {
    let word = manifest.options.get("precision");
    let word = word.and_then(serde_json::Value::as_str).unwrap_or("f32");
    Ok(
        match word
            .parse()
            .map_err(|error: UnknownPrecision| error.to_string())?
        {
            Precision::F64 => Precision::F32,
            precision => precision,
        },
    )
}

impl SearchCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        if self.matches && self.format() != Format::Table {
            return Err("--matches is for tables: add --format table, or leave it out".into());
        }
        let queries = self.read_queries()?;
        let qrels = self.qrels.as_ref().map(Qrels::open).transpose()?;
        let index = Index::open(&self.index)?;
        let origin = BuildLog::read(&self.index).map(|log| log.origin);
        let manifest = IndexManifest::read(&self.index)?;
        let spec = self
            .checkpoint
            .clone()
            .or_else(|| origin.as_ref().map(|o| o.checkpoint.clone()));
        let checkpoint = self.load_checkpoint(spec, &index, manifest.as_ref())?;
        let place = self
            .collection
            .clone()
            .or_else(|| origin.map(|o| o.collection.into()));
        let collection = self.load_collection(place.as_deref(), &index, manifest.as_ref())?;

        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.compute.threads())
            .build()?;
        let engine = self.engine(&index, &checkpoint, manifest.as_ref())?;
        let found = pool.install(|| self.search(&engine, &queries))?;
        let mut ranking = Ranking::new();
        for (query, hits) in queries.iter().zip(&found) {
            ranking.push(&query.qid, hits.iter().map(|hit| (hit.pid, hit.score)));
        }
        let documents: &dyn DocumentIds = match &collection {
            Some(collection) => collection,
            None => &PlainPids,
        };
        let results = Results {
            ranking: &ranking,
            queries: &queries,
            documents,
            collection: collection.as_ref(),
            matcher: match self.matches {
                true => Some(Matcher::new(&engine.searcher, &checkpoint, &engine.config)?),
                false => None,
            },
            encoder: &engine.encoder,
        };
        self.write(&results)?;
        if let Some(qrels) = &qrels {
            let table = metrics_table(
                &evaluate(&ranking, qrels, documents),
                &environment::plain_style(),
            );
            tell(format_args!("{}", table.trim_end()));
        }
        Ok(Outcome::Same)
    }

    fn read_queries(&self) -> Result<Queries, Failure> {
        let queries = match &self.queries {
            Some(path) => Queries::open(path)?,
            None => Queries::from_pairs(self.query.iter().map(|query| ("1", query.as_str())))
                .ok_or("there is no query")?,
        };
        remark(queries.notices());
        Ok(queries)
    }

    fn load_checkpoint(
        &self,
        spec: Option<String>,
        index: &Index,
        manifest: Option<&IndexManifest>,
    ) -> Result<Checkpoint, Failure> {
        let recorded = || {
            index
                .setting("config.checkpoint")?
                .as_str()
                .map(str::to_owned)
        };
        let spec = spec.or_else(recorded);
        let spec = spec.ok_or("the index does not name its checkpoint: give --checkpoint")?;
        let checkpoint = checkpoint(&spec).map_err(|error| {
            format!("the checkpoint of the index: {error}; give --checkpoint if it lies elsewhere")
        })?;
        let built_with = manifest.and_then(|manifest| manifest.inputs.get("checkpoint"));
        if built_with.is_some_and(|hash| *hash != checkpoint.hash()) {
            return Err(format!("the index was not built with the checkpoint {spec}").into());
        }
        if checkpoint.weights().dim() != index.dim() {
            return Err(format!(
                "the checkpoint {spec} makes embeddings of {} dimensions, and those of the index have {}",
                checkpoint.weights().dim(),
                index.dim()
            )
            .into());
        }
        Ok(checkpoint)
    }

    /// The collection, where it can be had. Only one that was asked for must be there.
    fn load_collection(
        &self,
        path: Option<&Path>,
        index: &Index,
        manifest: Option<&IndexManifest>,
    ) -> Result<Option<Collection>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let named = self.collection.is_some();
        if !named && !path.is_file() {
            remark(&[format!(
                "{} is gone, so results have no texts",
                path.display()
            )]);
            return Ok(None);
        }
        let collection = Collection::open(path)?;
        let built_from = manifest.and_then(|manifest| manifest.inputs.get("collection"));
        let other = match built_from {
            Some(hash) => *hash != Passages::new(&collection).hash(),
            None => collection.len() != index.passages(),
        };
        match (other, named) {
            (false, _) => Ok(Some(collection)),
            (true, true) => Err(format!("the index was not built from {}", path.display()).into()),
            (true, false) => {
                let path = path.display();
                remark(&[format!(
                    "{path} has changed since the index was built, so results have no texts"
                )]);
                Ok(None)
            }
        }
    }

    fn format(&self) -> Format {
        let default = if self.queries.is_some() {
            Format::Tsv
        } else {
            Format::Table
        };
        if self.json {
            Format::Json
        } else {
            self.format.unwrap_or(default)
        }
    }

    fn engine<'a>(
        &self,
        index: &'a Index,
        checkpoint: &Checkpoint,
        manifest: Option<&IndexManifest>,
    ) -> Result<Engine<'a>, Failure> {
        let isa = self.compute.isa()?;
        let built_in = manifest.map_or(Ok(Precision::default()), built_precision)?;
        let precision = self.precision.unwrap_or(built_in);
        let config = checkpoint.colbert_config([&ConfigLayer::read_index(&self.index)?])?;
        Ok(Engine {
            encoder: QueryEncoder::new(checkpoint, &config, precision, isa)?,
            searcher: Searcher::new(index, isa),
            config,
        })
    }

    fn search(&self, engine: &Engine<'_>, queries: &Queries) -> Result<Vec<Vec<Hit>>, Failure> {
        let config = &engine.config;
        let options = SearchOptions {
            ncells: self.ncells.map(NonZeroUsize::get).or(config.ncells),
            centroid_score_threshold: self.threshold.or(config
                .centroid_score_threshold
                .map(|threshold| threshold as f32)),
            ndocs: self.ndocs.map(NonZeroUsize::get).or(config.ndocs),
            floor: if self.clip_negative {
                Floor::Zero
            } else {
                Floor::None
            },
        };
        let progress = Shown::new();
        let queries: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
        let (mut found, total) = (Vec::with_capacity(queries.len()), queries.len() as u64);
        for part in queries.chunks(64) {
            let hits = part
                .par_iter()
                .map(|query| {
                    let embeddings = engine.encoder.encode(query)?;
                    let (width, k) = (config.query_maxlen, self.k.get());
                    Ok(engine.searcher.search(&embeddings, width, k, &options))
                })
                .collect::<Result<Vec<_>, Failure>>()?;
            found.extend(hits);
            if total > 1 {
                progress.advanced("search", found.len() as u64, total, "queries");
            }
        }
        Ok(found)
    }

    fn write(&self, results: &Results<'_>) -> Result<(), Failure> {
        let (ranking, documents) = (results.ranking, results.documents);
        let mut bytes = Vec::new();
        match self.format() {
            Format::Tsv => ranking.write_tsv(&mut bytes)?,
            Format::Trec => ranking.write_trec(&mut bytes, documents, "concord")?,
            Format::Json => ranking.write_json_lines(&mut bytes, documents)?,
            Format::Table => {
                let style = match self.out {
                    None => environment::style(),
                    Some(_) => environment::plain_style(),
                };
                for query in results.queries.iter() {
                    if self.queries.is_some() {
                        writeln!(bytes, "{}: {}", query.qid, query.text)?;
                    }
                    bytes.extend_from_slice(results.table(query, &style)?.as_bytes());
                }
            }
        }
        match &self.out {
            None => print(&String::from_utf8(bytes)?),
            Some(path) => Ok(write_file(path, |file| file.write_all(&bytes))?),
        }
    }
}

/// What searches.
struct Engine<'a> {
    config: ColbertConfig,
    encoder: QueryEncoder,
    searcher: Searcher<'a>,
}

/// What was found, and what is needed to show it.
struct Results<'a> {
    ranking: &'a Ranking,
    queries: &'a Queries,
    documents: &'a dyn DocumentIds,
    collection: Option<&'a Collection>,
    /// Where matched words are shown.
    matcher: Option<Matcher<'a>>,
    encoder: &'a QueryEncoder,
}

impl Results<'_> {
    fn table(&self, query: &Query, style: &Style) -> Result<String, Failure> {
        let ranked = self.ranking.get(&query.qid).unwrap_or_default();
        let named = self.collection.is_some_and(Collection::has_external_ids);
        let names: Vec<_> = ranked
            .iter()
            .map(|ranked| self.documents.external_id(ranked.pid))
            .collect();
        let hits = ranked.iter().zip(&names).map(|(ranked, name)| ShownHit {
            rank: ranked.rank as usize,
            pid: ranked.pid as usize,
            id: named.then_some(name.as_ref()),
            score: ranked.score as f32,
            text: self.collection.and_then(|c| c.text(ranked.pid)),
        });
        let Some(matcher) = &self.matcher else {
            return Ok(hits_table(&hits.collect::<Vec<_>>(), style));
        };
        let embeddings = self.encoder.encode(&query.text)?;
        let found = hits.zip(ranked).map(|(hit, ranked)| {
            let text = hit.text.unwrap_or_default();
            let matches = matcher.words(&query.text, &embeddings, ranked.pid, text)?;
            Ok(FoundPassage { hit, matches })
        });
        let found: Vec<_> = found.collect::<Result<_, Failure>>()?;
        Ok(passages_listing(&found, style))
    }
}
