//! `concord search`.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use concord_corpus::{Collection, DocumentIds, Qrels, Queries, Query, Ranking};
use concord_engine::embeddings::{GivenQueries, GivenQuery};
use concord_engine::open::{OpenError, OpenIndex, OpenOptions, SearchError};
use concord_index::evaluate::{Coverage, Evaluation, Ties, evaluate};
use concord_index::search::{Found, PassageSet, Request, SearchOptions};
use concord_kernels::compute::ComputeOptions;
use concord_kernels::maxsim::Floor;
use concord_model::precision::Precision;
use concord_model::query::QueryEncoder;
use concord_pipeline::Progress;
use concord_pipeline::publish::write_file;
use concord_report::{
    FoundPassage, Hit as ShownHit, Searched, Style, escaped, exact_search, hits_table,
    metrics_table, passages_listing, printable, search_notices,
};
use rayon::prelude::*;

use crate::chosen::{chosen, metadata_of};
use crate::environment;
use crate::id_files::passages_in;
use crate::inputs::{ComputeArguments, isa, positive, precision, score, threads};
use crate::matches::Matcher;
use crate::output::{Failure, Outcome, print, print_as_is, status, warn};
use crate::progress::TerminalProgress;

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
/// Results are ordered by score, and by pid where scores are equal. With --exact, no stage leaves a passage out.
///
/// --where takes conditions on the fields of the passages' metadata, which `concord verify` lists: = != <> < <= > >=,
/// [NOT] IN (...), [NOT] BETWEEN ... AND ..., [NOT] LIKE, IS [NOT] NULL, joined by AND, OR, NOT and parentheses. Values are
/// numbers, texts in single quotes ('' is a quote inside), TRUE and FALSE; a field whose name is more than letters, digits
/// and _ stands in double quotes. Texts are compared by their bytes, so 'a' is not 'A' and comes behind it; in LIKE, whose
/// letters have their case too, % stands for any text and _ for one character. Of a passage that has not the field, or has
/// it with a value of another kind, a condition is neither true nor false, and so is its NOT, as with NULL in SQL: it
/// is not found by it, but by IS NULL if it has not the field. A field that no passage has, or none with such a value, is an error.
#[derive(Args)]
#[command(after_help = "Examples:
  concord search index \"can I appeal a parking fine\"
  concord search index \"can I appeal a parking fine\" --k 3 --matches
  concord search index --queries queries.tsv --k 100 --format trec > run.trec
  concord search index \"can I appeal a parking fine\" --exact --only ids.txt
  concord search index \"can I appeal a parking fine\" --where \"year > 2020 AND lang = 'en'\"
  concord search index \"fines\" --where \"NOT (kind IN ('draft', 'note') OR title LIKE '%(old)') OR year IS NULL\" --json --with-metadata
  concord search index --queries queries.tsv --qrels qrels.tsv --format tsv --out ranking.tsv
  concord search index --query-embeddings queries.npy --k 100 --format trec
  concord search index --queries q.tsv.gz --qrels q.qrels --trec-ties --measures measures.json > ranking.tsv")]
pub struct SearchCommand {
    /// The index: Concord's, or one that colbert-ai built
    index: PathBuf,
    /// The query
    #[arg(
        required_unless_present_any = ["queries", "query_embeddings"],
        conflicts_with_all = ["queries", "query_embeddings"]
    )]
    query: Option<String>,
    /// Queries: TSV (qid TAB text) or JSON lines, also packed by gzip
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// The embeddings of queries instead of their texts: an .npy, .npz, .safetensors or .pt file with one tensor
    /// (tokens, width) or (queries, tokens, width), or with a tensor (tokens, width) for each query. No checkpoint is needed
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["queries", "matches", "checkpoint", "precision", "query_maxlen"]
    )]
    query_embeddings: Option<PathBuf>,
    /// Results per query
    #[arg(long, default_value = "10", value_parser = positive)]
    k: NonZeroUsize,
    /// Find the best of all passages for certain, by bounds instead of ColBERT's stages
    #[arg(long, conflicts_with_all = ["ncells", "threshold", "ndocs"])]
    exact: bool,
    /// Search among the passages of these ids, one a line
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
    /// Search among the passages of which this is true, such as "year > 2020 AND lang = 'en'"; with --only, among those
    /// that are in both
    #[arg(long = "where", value_name = "CONDITIONS")]
    conditions: Option<String>,
    /// Write the metadata of each passage with it, into JSON
    #[arg(long)]
    with_metadata: bool,
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
    /// Measure passages of equal score as trec_eval orders them, by document id, and not as they are ranked
    #[arg(long, requires = "qrels")]
    trec_ties: bool,
    /// Write the measures of each query and their means to a file, as JSON
    #[arg(long, value_name = "FILE", requires = "qrels")]
    measures: Option<PathBuf>,
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
    /// Tokens per query: a longer one is cut, a shorter one filled up [default: what the index was built with]
    #[arg(long, value_name = "N", value_parser = positive)]
    query_maxlen: Option<NonZeroUsize>,
    /// Take a negative similarity for zero, as the reference does on a CPU
    #[arg(long)]
    clip_negative: bool,
    // Without --batch: queries are encoded one by one.
    /// Threads [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
    /// The instruction set: scalar, avx2, avx512 or neon [default: the fastest there is]
    #[arg(long, value_name = "ISA", value_parser = isa)]
    isa: Option<ComputeOptions>,
}

/// Judgements, and how they fit what is searched.
struct Judged {
    qrels: Qrels,
    coverage: Coverage,
}

/// Queries that are answered before the progress is told.
const QUERIES_AT_ONCE: usize = 240;

impl SearchCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        if self.matches && self.format() != Format::Table {
            return Err("--matches is for tables: add --format table, or leave it out".into());
        }
        if self.with_metadata && self.format() != Format::Json {
            return Err("--with-metadata is for JSON: add --json, or leave it out".into());
        }
        let embedded = self.query_embeddings.as_deref().map(GivenQueries::read);
        let embedded = embedded.transpose()?;
        let queries = match &embedded {
            Some(embedded) => named(embedded)?,
            None => self.read_queries()?,
        };
        let qrels = self.qrels.as_ref().map(Qrels::open).transpose()?;
        let index = self.open()?;
        warn(index.notices());
        if let Some(encoder) = index.encoder() {
            warn(cut_queries(&index, encoder, &queries)?.as_slice());
        }
        let collection = index.collection();
        if self.matches && collection.is_none() {
            return Err("--matches marks words in the passages' texts, and there are none: give --collection".into());
        }
        let documents = index.documents();
        let passages = index.index().passages();
        let judged = qrels.map(|qrels| self.judged(qrels, &queries, documents, passages));
        let judged = judged.transpose()?;

        let only = self.only.as_deref();
        let only = only.map(|path| passages_in(path, documents, passages));
        let only = only.transpose()?;
        let only = match &self.conditions {
            Some(conditions) => Some(chosen(&index, conditions, only.as_ref())?),
            None => only,
        };
        let options = self.search_options(&index);
        let request = Request {
            exact: self.exact,
            among: only.as_ref(),
            ..Request::new(self.k.get(), &options)
        };
        let found = index.compute().install(|| match &embedded {
            Some(embedded) => search(&embedded.queries, |queries| {
                let answer = |query: &GivenQuery| {
                    index.answer_embeddings(&query.embeddings, embedded.width, &request)
                };
                queries.par_iter().with_max_len(1).map(answer).collect()
            }),
            None => {
                let queries: Vec<&str> = queries.iter().map(|query| query.text).collect();
                search(&queries, |queries| index.answer_all(queries, &request))
            }
        })?;
        warn(&search_notices(
            &found,
            &Searched {
                k: self.k.get(),
                plan: options.for_k(self.k.get()),
                passages,
                only: only.as_ref().map(PassageSet::len),
                centroids: index.index().centroids(),
            },
        ));
        if self.exact {
            status(format_args!("{}", exact_search(&found)));
        }
        let mut ranking = Ranking::new();
        for (query, found) in queries.iter().zip(&found) {
            let hits = found.hits.iter();
            ranking.push(query.qid, hits.map(|hit| (hit.pid, hit.score)));
        }
        let results = Results {
            ranking: &ranking,
            queries: &queries,
            documents,
            named: index.has_own_ids(),
            collection,
            matcher: match self.matches {
                true => Some(Matcher::new(&index)?),
                false => None,
            },
            encoder: index.encoder(),
        };
        let metadata = match self.with_metadata {
            true => metadata_of(&index, &ranking)?,
            false => BTreeMap::new(),
        };
        self.write(&results, &metadata)?;
        match &judged {
            Some(judged) => self.measure(judged, &ranking, documents),
            None => Ok(Outcome::Same),
        }
    }

    /// Judgements that there is something to measure by, of queries that are searched.
    fn judged(
        &self,
        qrels: Qrels,
        queries: &Queries,
        documents: &dyn DocumentIds,
        passages: usize,
    ) -> Result<Judged, Failure> {
        let coverage = Coverage::of(queries, &qrels, documents, passages);
        let path = self.qrels.as_deref().unwrap_or(Path::new(""));
        let coverage = coverage.map_err(|error| format!("{}: {error}", path.display()))?;
        warn(&coverage.notices());
        Ok(Judged { qrels, coverage })
    }

    fn measure(
        &self,
        judged: &Judged,
        ranking: &Ranking,
        documents: &dyn DocumentIds,
    ) -> Result<Outcome, Failure> {
        let ties = match self.trec_ties {
            true => Ties::TrecEval,
            false => Ties::AsRanked,
        };
        let measured = evaluate(ranking, &judged.qrels, documents, ties);
        warn(&ties_notice(&measured));
        if let Some(path) = &self.measures {
            let written = serde_json::json!({
                "coverage": judged.coverage,
                "ties": measured.ties,
                "means": measured.means,
                "queries": measured.queries,
            });
            let text = format!("{}\n", serde_json::to_string_pretty(&written)?);
            write_file(path, |file| file.write_all(text.as_bytes()))?;
        }
        let table = metrics_table(&measured.means, &environment::plain_style());
        status(format_args!("{}", table.trim_end()));
        Ok(Outcome::Same)
    }

    fn read_queries(&self) -> Result<Queries, Failure> {
        let queries = match &self.queries {
            Some(path) => Queries::open(path)?,
            None => {
                let query = self.query.iter();
                let query = query.filter(|query| !query.trim().is_empty());
                let queries = Queries::from_pairs(query.map(|query| ("1", query)));
                queries
                    .filter(|queries| !queries.is_empty())
                    .ok_or("the query is empty")?
            }
        };
        warn(queries.notices());
        Ok(queries)
    }

    fn open(&self) -> Result<OpenIndex, Failure> {
        let options = OpenOptions {
            checkpoint: self.checkpoint.clone(),
            collection: self.collection.clone(),
            precision: self.precision,
            query_maxlen: self.query_maxlen.map(NonZeroUsize::get),
            compute: self.compute().options()?,
            hub: environment::hub(),
        };
        let opened = match self.query_embeddings {
            Some(_) => OpenIndex::open_for_embeddings(&self.index, options),
            None => OpenIndex::open(&self.index, options),
        };
        opened.map_err(|error| match error {
            OpenError::NoCheckpoint => {
                format!("{error}: give --checkpoint, or --query-embeddings").into()
            }
            OpenError::Checkpoint(_) => {
                format!("{error}; give --checkpoint if it lies elsewhere").into()
            }
            error => error.into(),
        })
    }

    fn format(&self) -> Format {
        let default = if self.queries.is_some() || self.query_embeddings.is_some() {
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

    fn compute(&self) -> ComputeArguments {
        ComputeArguments {
            batch: None,
            threads: self.threads,
            isa: self.isa,
        }
    }

    /// What was asked for, and where nothing was, what the index and its checkpoint are configured for.
    fn search_options(&self, index: &OpenIndex) -> SearchOptions {
        let configured = index.search_options();
        SearchOptions {
            ncells: self.ncells.map(NonZeroUsize::get).or(configured.ncells),
            centroid_score_threshold: self.threshold.or(configured.centroid_score_threshold),
            ndocs: self.ndocs.map(NonZeroUsize::get).or(configured.ndocs),
            floor: if self.clip_negative {
                Floor::Zero
            } else {
                Floor::None
            },
        }
    }

    fn write(
        &self,
        results: &Results<'_>,
        metadata: &BTreeMap<u32, String>,
    ) -> Result<(), Failure> {
        let (ranking, documents) = (results.ranking, results.documents);
        let mut bytes = Vec::new();
        match self.format() {
            Format::Tsv => ranking.write_tsv(&mut bytes)?,
            Format::Trec => ranking.write_trec(&mut bytes, documents, "concord")?,
            Format::Json => {
                let of = |pid: u32| metadata.get(&pid).cloned();
                ranking.write_json_lines_with(&mut bytes, documents, of)?;
            }
            Format::Table => {
                let style = match self.out {
                    None => environment::style(),
                    Some(_) => environment::plain_style(),
                };
                for query in results.queries.iter() {
                    if self.queries.is_some() || self.query_embeddings.is_some() {
                        let (qid, text) = (printable(query.qid), escaped(query.text));
                        writeln!(bytes, "{qid}: {text}")?;
                    }
                    bytes.extend_from_slice(results.table(query, &style)?.as_bytes());
                }
            }
        }
        match &self.out {
            None if self.format() == Format::Table => print(&String::from_utf8(bytes)?),
            None => print_as_is(&String::from_utf8(bytes)?),
            Some(path) => Ok(write_file(path, |file| file.write_all(&bytes))?),
        }
    }
}

/// Answers queries, and says how far it is.
fn search<Q: Sync>(
    queries: &[Q],
    answer: impl Fn(&[Q]) -> Result<Vec<Found>, SearchError> + Send + Sync,
) -> Result<Vec<Found>, Failure> {
    let progress = TerminalProgress::new();
    let (mut found, total) = (Vec::with_capacity(queries.len()), queries.len() as u64);
    for part in queries.chunks(QUERIES_AT_ONCE) {
        found.append(&mut answer(part)?);
        if total > 1 {
            progress.advanced("search", found.len() as u64, total, "queries");
        }
    }
    Ok(found)
}

/// Queries that are embeddings, by their ids; in the place of a text how many embeddings each has.
fn named(embedded: &GivenQueries) -> Result<Queries, Failure> {
    let text = |embeddings: &[f32]| format!("{} embeddings", embeddings.len() / embedded.width);
    let each = embedded.queries.iter();
    let each: Vec<(&str, String)> = each
        .map(|query| (query.id.as_str(), text(&query.embeddings)))
        .collect();
    let pairs = each.iter().map(|(id, text)| (*id, text.as_str()));
    Ok(Queries::from_pairs(pairs).ok_or("two queries have the same name")?)
}

/// That queries are longer than what is encoded of them, if some are.
fn cut_queries(
    index: &OpenIndex,
    encoder: &QueryEncoder,
    queries: &Queries,
) -> Result<Option<String>, Failure> {
    let texts: Vec<&str> = queries.iter().map(|query| query.text).collect();
    let lost = |text: &&str| Ok(encoder.lost_tokens(text)?);
    let lost: Vec<usize> = index
        .compute()
        .install(|| texts.par_iter().map(lost).collect::<Result<_, Failure>>())?;
    let (cut, most) = (
        lost.iter().filter(|lost| **lost > 0).count(),
        index.config().query_maxlen,
    );
    let are = if cut == 1 { "is" } else { "are" };
    Ok((cut > 0).then(|| {
        format!(
            "{cut} of {} queries {are} longer than query_maxlen = {most} tokens and cut there: at least {} tokens are \
             not searched (--query-maxlen makes room)",
            lost.len(),
            lost.iter().sum::<usize>(),
        )
    }))
}

/// That measures depend on an order that scores leave open.
fn ties_notice(measured: &Evaluation) -> Vec<String> {
    let (decided, all) = (measured.decided_by_ties(), measured.queries.len());
    let order = match measured.ties {
        _ if decided == 0 => return Vec::new(),
        Ties::AsRanked => {
            "as they are ranked, the smaller pid first (trec_eval takes them by document id: --trec-ties)"
        }
        Ties::TrecEval => "as trec_eval does, the larger document id first",
    };
    vec![format!(
        "the measures of {decided} of {all} queries depend on the order of passages with equal scores; they are taken {order}"
    )]
}

/// What was found, and what is needed to show it.
struct Results<'a> {
    ranking: &'a Ranking,
    queries: &'a Queries,
    documents: &'a dyn DocumentIds,
    /// Whether ids are more than the passages' numbers.
    named: bool,
    collection: Option<&'a Collection>,
    /// Where matched words are shown.
    matcher: Option<Matcher<'a>>,
    encoder: Option<&'a QueryEncoder>,
}

impl Results<'_> {
    fn table(&self, query: Query<'_>, style: &Style) -> Result<String, Failure> {
        let ranked = self.ranking.get(query.qid).unwrap_or_default();
        let names: Vec<_> = ranked
            .iter()
            .map(|ranked| self.documents.external_id(ranked.pid))
            .collect();
        let hits = ranked.iter().zip(&names).map(|(ranked, name)| ShownHit {
            rank: ranked.rank as usize,
            pid: ranked.pid as usize,
            id: self.named.then_some(name.as_ref()),
            score: ranked.score as f32,
            text: self.collection.and_then(|c| c.text(ranked.pid)),
        });
        let Some(matcher) = &self.matcher else {
            return Ok(hits_table(&hits.collect::<Vec<_>>(), style));
        };
        let encoder = self.encoder.ok_or(SearchError::NoEncoder)?;
        let embeddings = encoder.encode(query.text)?;
        let found = hits.zip(ranked).map(|(hit, ranked)| {
            let text = hit.text.unwrap_or_default();
            let matches = matcher.words(query.text, &embeddings, ranked.pid, text)?;
            Ok(FoundPassage { hit, matches })
        });
        let found: Vec<_> = found.collect::<Result<_, Failure>>()?;
        Ok(passages_listing(&found, style))
    }
}
