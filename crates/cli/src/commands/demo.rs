//! `concord demo`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use concord_corpus::{PlainPids, Query, Ranking};
use concord_engine::build::{BuildReport, Layout, build};
use concord_engine::embedded;
use concord_engine::native::Native;
use concord_engine::open::{OpenIndex, OpenOptions, SearchError};
use concord_engine::options::NativeOptions;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_index::evaluate::{Ties, evaluate};
use concord_index::format::Index;
use concord_index::search::SearchOptions;
use concord_kernels::compute::ComputeOptions;
use concord_kernels::gemm::Gemm;
use concord_kernels::library::Library;
use concord_lab::{DiffOptions, Side, diff};
use concord_model::checkpoint::Checkpoint;
use concord_model::config::ColbertConfig;
use concord_model::numerics::{Numerics, Variant};
use concord_pipeline::publish::writing;
use concord_pipeline::{Capture, Scratch, Staging};
use concord_report::{FoundPassage, Hit, diff_table, metrics_table, passages_listing};
use concord_subject::record::record;
use rayon::prelude::*;

use crate::embedded_collection::Data;
use crate::environment;
use crate::matches::Matcher;
use crate::output::{Failure, Outcome, print};
use crate::progress::TerminalProgress;

/// Show what Concord does, on a checkpoint and a collection that are part of the program.
///
/// Needs no network and no files. Builds an index twice in a temporary folder, searches it, and compares two
/// runs.
#[derive(Args)]
#[command(after_help = "Examples:
  concord demo
  concord demo --keep demo")]
pub struct DemoCommand {
    /// Keep the collection, its queries and judgements, and the index in a new folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The queries that are shown, by their qids.
const SHOWN: [&str; 3] = ["0", "34", "65"];

/// Passages shown for each of them.
const SHOWN_PASSAGES: usize = 2;

/// The folder of the first build.
const INDEX: &str = "index";

/// What all builds of the demo have in common.
struct Demo {
    checkpoint: Arc<Checkpoint>,
    data: Data,
    folder: PathBuf,
    /// Where the folder will be.
    home: PathBuf,
}

impl DemoCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let Some(keep) = &self.keep else {
            let temporary = Scratch::new()?;
            let outcome = shown(temporary.path(), temporary.path())?;
            print(NEXT)?;
            return Ok(outcome);
        };
        let staging = new_folder(keep)?;
        let folder = staging.path(FINISHED);
        let made = std::fs::create_dir(&folder)
            .map_err(|error| writing(&folder)(error).into())
            .and_then(|()| Data::write(&folder))
            .and_then(|()| shown(&folder, keep));
        let outcome = match made {
            Ok(outcome) => outcome,
            Err(error) => {
                // The first error is the one to tell.
                let _ = staging.discard();
                return Err(error);
            }
        };
        staging.publish(FINISHED)?;
        let keep = keep.display();
        print(&format!(
            "{NEXT}\nThe collection and its index are in {keep}.\n"
        ))?;
        Ok(outcome)
    }
}

/// The folder inside the staging folder that becomes the one that is kept.
const FINISHED: &str = "demo";

/// Begins a folder that appears at `keep` when it is whole.
fn new_folder(keep: &Path) -> Result<Staging, Failure> {
    let wrong = |why: &str| format!("cannot make the folder {}: {why}", keep.display());
    if keep.symlink_metadata().is_ok() {
        return Err(wrong("it is there already; choose another, or remove it").into());
    }
    let parent = std::path::absolute(keep)?;
    if !parent.parent().is_some_and(Path::is_dir) {
        return Err(wrong("make the folder first that it is to be in").into());
    }
    let staging = Staging::open(keep)?.not_kept();
    let left = staging.path(FINISHED);
    if left.exists() {
        // By a demo that was killed.
        std::fs::remove_dir_all(&left).map_err(writing(&left))?;
    }
    Ok(staging)
}

/// Shows all of it, with what may be kept in `folder`, which will be at `home`. Whether both builds were the same.
fn shown(folder: &Path, home: &Path) -> Result<Outcome, Failure> {
    let temporary = Scratch::new()?;
    let demo = Demo {
        checkpoint: Arc::new(embedded::checkpoint()?),
        data: Data::read()?,
        folder: folder.to_owned(),
        home: home.to_owned(),
    };
    let first = demo.index()?;
    demo.search()?;
    let same = demo.rebuild(&first, &temporary.path().join("again"))?;
    demo.compare(temporary.path())?;
    Ok(Outcome::same_if(same))
}

const NEXT: &str = "
Next, with your own text (one passage a line: a number, a tab, the text):
  concord index collection.tsv --checkpoint concord-mini --out index
  concord search index \"your question\" --matches
  concord verify index --rebuild collection.tsv
  concord diff native native,gemm=split-k:4 --checkpoint concord-mini --collection collection.tsv
A checkpoint of full size, such as colbert-ir/colbertv2.0, takes the place of concord-mini.
";

impl Demo {
    fn index(&self) -> Result<BuildReport, Failure> {
        print(&format!(
            "1. Build an index of {} passages with the embedded checkpoint {} ({} layers), {} iterations of \
             k-means.\n",
            self.data.collection.len(),
            embedded::CHECKPOINT,
            self.checkpoint.bert_config().num_hidden_layers,
            kmeans_niters(),
        ))?;
        let report = self.build(NativeOptions::default(), &self.folder.join(INDEX))?;
        let index = Index::open(&self.folder.join(INDEX))?;
        print(&format!(
            "   {} embeddings of {} dimensions in {} files, in the format that colbert-ai reads.\n",
            index.embeddings(),
            index.dim(),
            report.manifest.files.len(),
        ))?;
        Ok(report)
    }

    fn search(&self) -> Result<(), Failure> {
        print("\n2. Search it. Words in brackets are those that the query's words matched.\n")?;
        let mut options = OpenOptions::new(environment::hub());
        let collection = self.folder.join("collection.tsv");
        options.collection = collection.exists().then_some(collection);
        let index = OpenIndex::open(&self.folder.join(INDEX), options)?;
        let matcher = Matcher::new(&index)?;
        for qid in SHOWN {
            let query = self.data.queries.iter().find(|query| query.qid == qid);
            let query = query.ok_or("the embedded queries lack one that is shown")?;
            print(&format!(
                "\n\"{}\"\n{}",
                query.text,
                self.found(&index, &matcher, query)?
            ))?;
        }

        let queries: Vec<Query<'_>> = self.data.queries.iter().collect();
        let found = queries
            .par_iter()
            .map(|query| Ok(index.search(query.text, 10, &SearchOptions::default())?));
        let found: Vec<_> = found.collect::<Result<_, Failure>>()?;
        let mut ranking = Ranking::new();
        for (query, hits) in self.data.queries.iter().zip(found) {
            ranking.push(query.qid, hits.iter().map(|hit| (hit.pid, hit.score)));
        }
        let measured = evaluate(&ranking, &self.data.qrels, &PlainPids, Ties::AsRanked);
        print(&format!(
            "\nAll {} queries of the collection against its judgements:\n{}",
            self.data.queries.len(),
            metrics_table(&measured.means, &environment::style()),
        ))
    }

    fn found(
        &self,
        index: &OpenIndex,
        matcher: &Matcher<'_>,
        query: Query<'_>,
    ) -> Result<String, Failure> {
        let encoder = index.encoder().ok_or(SearchError::NoEncoder)?;
        let embeddings = encoder.encode(query.text)?;
        let hits = index.search(query.text, SHOWN_PASSAGES, &SearchOptions::default())?;
        let mut found = Vec::new();
        for (at, concord_index::search::Hit { pid, score }) in hits.into_iter().enumerate() {
            let text = self.data.collection.text(pid);
            let passage = text.unwrap_or_default();
            let matches = matcher.words(query.text, &embeddings, pid, passage)?;
            let hit = Hit {
                rank: at + 1,
                pid: pid as usize,
                id: None,
                score,
                text,
            };
            found.push(FoundPassage { hit, matches });
        }
        Ok(passages_listing(&found, &environment::style()))
    }

    fn rebuild(&self, first: &BuildReport, out: &Path) -> Result<bool, Failure> {
        print("\n3. Build it again with batches of 7 passages instead of 64, on three threads.\n")?;
        let other = NativeOptions {
            batch: NonZeroUsize::new(7),
            compute: ComputeOptions::default().with_threads(NonZeroUsize::new(3)),
            ..NativeOptions::default()
        };
        let second = self.build(other, out)?;
        let (same, all) = same_hashes(first, &second);
        print(&format!(
            "   {same} of {all} artifacts and files have the same hash.\n"
        ))?;
        Ok(same == all)
    }

    /// Compares two runs instead of two indexes, since an index does not keep what all stages made.
    fn compare(&self, folder: &Path) -> Result<(), Failure> {
        print(
            "\n4. Run it once more, adding up matrix products as another library does, and compare every value.\n\n",
        )?;
        let other = NativeOptions {
            numerics: Numerics {
                variants: vec![Variant::Gemm(Gemm::Library(Library::MatrixMultiply))],
                patches: Vec::new(),
            },
            ..NativeOptions::default()
        };
        let a = self.recorded(NativeOptions::default(), folder, "native")?;
        let b = self.recorded(other, folder, "native,gemm=matrixmultiply")?;
        let report = diff(&a, &b, &DiffOptions::default(), &mut |_| ())?;
        print(&diff_table(&report, &environment::style()))
    }

    /// A run of these options with all its values, in a folder of that name.
    fn recorded(&self, options: NativeOptions, folder: &Path, name: &str) -> Result<Side, Failure> {
        let capture = Capture {
            artifact_values: true,
            ..Capture::default()
        };
        let out = folder.join(name);
        record(
            &self.native(options)?,
            capture,
            &out,
            &TerminalProgress::new(),
        )?;
        Ok(Side::open(&out)?.named(name))
    }

    fn build(&self, options: NativeOptions, out: &Path) -> Result<BuildReport, Failure> {
        let native = self.native(options)?;
        let origin = Origin {
            checkpoint: embedded::CHECKPOINT.to_owned(),
            collection: self.home.join("collection.tsv").display().to_string(),
        };
        let (layout, progress) = (Layout::default(), TerminalProgress::new());
        Ok(build(&native, layout, &origin, out, &progress)?)
    }

    fn native(&self, options: NativeOptions) -> Result<Native, Failure> {
        let (checkpoint, collection) = (&self.checkpoint, &self.data.collection);
        Ok(Native::new(
            Arc::clone(checkpoint),
            Arc::clone(collection),
            options,
            IndexSettings {
                kmeans_niters: Some(kmeans_niters()),
                ..IndexSettings::default()
            },
        )?)
    }
}

/// Iterations of k-means: ColBERT's default, where the checkpoint asks for more. The collection is small, and
/// there are builds and runs to wait for.
fn kmeans_niters() -> usize {
    ColbertConfig::default().kmeans_niters
}

/// How many artifacts and files of two builds have the same hash, and how many there are.
fn same_hashes(a: &BuildReport, b: &BuildReport) -> (usize, usize) {
    let artifacts = a.manifest.artifacts.iter();
    let artifacts = artifacts.filter(|record| b.manifest.artifact(&record.name) == Some(record));
    let files = a
        .manifest
        .files
        .iter()
        .filter(|file| b.manifest.files.contains(file));
    (
        artifacts.count() + files.count(),
        a.manifest.artifacts.len() + a.manifest.files.len(),
    )
}
