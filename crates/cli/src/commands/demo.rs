//! `concord demo`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use concord_corpus::Collection;
use concord_index::format::Index;
use concord_index::search::{SearchOptions, Searcher};
use concord_kernels::gemm::Gemm;
use concord_kernels::isa::Isa;
use concord_lab::{DiffOptions, Side, diff};
use concord_model::checkpoint::Checkpoint;
use concord_model::numerics::{Numerics, Variant};
use concord_model::query::QueryEncoder;
use concord_pipeline::NoProgress;
use concord_report::{Hit, diff_table, hits_table};
use concord_subject::build::{BuildReport, Layout, Origin, build};
use concord_subject::native::{IndexSettings, Native};
use concord_subject::word::NativeOptions;

use crate::environment;
use crate::output::{Failure, Outcome, print};

/// Show what Concord does, on data that ships with it.
///
/// Needs no network and no files. The embedded checkpoint is tiny and its weights are random: it has
/// every operation of a real one, and finds what is worded alike.
#[derive(Args)]
#[command(after_help = "Example:
  concord demo")]
pub struct DemoCommand {}

/// A file of the embedded checkpoint, by its name.
macro_rules! embedded {
    ($file:literal) => {
        (
            $file,
            include_bytes!(concat!("../../../../tests/golden/checkpoint/", $file)),
        )
    };
}
/// The files of the embedded checkpoint.
const CHECKPOINT: [(&str, &[u8]); 6] = [
    embedded!("artifact.metadata"),
    embedded!("config.json"),
    embedded!("model.safetensors"),
    embedded!("special_tokens_map.json"),
    embedded!("tokenizer.json"),
    embedded!("tokenizer_config.json"),
];

const COLLECTION: &[u8] = include_bytes!("../../../../tests/golden/collection.tsv");

const QUERIES: [&str; 3] = [
    "a sailor is borrowing the water before the valley",
    "the castle washs a tall singer",
    "paint the famous salmon with silver honey",
];

/// What all builds of the demo have in common.
struct Demo {
    checkpoint: Arc<Checkpoint>,
    collection: Arc<Collection>,
}

impl Demo {
    fn native(&self, options: NativeOptions) -> Result<Native, Failure> {
        let (checkpoint, collection) = (Arc::clone(&self.checkpoint), Arc::clone(&self.collection));
        Ok(Native::new(
            checkpoint,
            collection,
            options,
            IndexSettings::default(),
        )?)
    }

    fn build(&self, options: NativeOptions, out: &Path) -> Result<BuildReport, Failure> {
        let origin = Origin {
            checkpoint: "embedded".to_owned(),
            collection: "embedded".to_owned(),
        };
        Ok(build(
            &self.native(options)?,
            Layout::default(),
            &origin,
            out,
            &NoProgress,
        )?)
    }

    fn search(&self, index: &Path, query: &str) -> Result<String, Failure> {
        let index = Index::open(index)?;
        let isa = Isa::fastest();
        let config = self.checkpoint.colbert_config([])?;
        let encoder = QueryEncoder::new(&self.checkpoint, &config, isa)?;
        let options = SearchOptions {
            ncells: Some(4),
            ..SearchOptions::default()
        };
        let found = Searcher::new(&index, isa).search(
            &encoder.encode(query)?,
            config.query_maxlen,
            3,
            &options,
        );
        let hits: Vec<Hit<'_>> = found
            .iter()
            .enumerate()
            .map(|(at, hit)| Hit {
                rank: at + 1,
                pid: hit.pid as usize,
                id: None,
                score: hit.score,
                text: self.collection.text(hit.pid),
            })
            .collect();
        Ok(hits_table(&hits, &environment::style()))
    }
}

impl DemoCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let demo = Demo {
            checkpoint: Arc::new(Checkpoint::embedded("embedded", &CHECKPOINT)?),
            collection: Arc::new(Collection::parse_tsv("embedded", COLLECTION)?),
        };
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);

        print(&format!(
            "1. Build an index of {} embedded passages.\n",
            demo.collection.len()
        ))?;
        let first = demo.build(NativeOptions::default(), &at("first"))?;
        let embeddings = first
            .manifest
            .artifact("codes")
            .and_then(|codes| codes.total_shape(""));
        let embeddings = embeddings.map_or(0, |(_, shape)| shape[0]);
        print(&format!(
            "   {embeddings} embeddings in {} files, in the format that colbert-ai reads.\n",
            first.manifest.files.len()
        ))?;

        print(
            "\n2. Search it. (The embedded weights are random, so it finds what is worded alike.)\n",
        )?;
        for query in QUERIES {
            print(&format!(
                "\n\"{query}\"\n{}",
                demo.search(&at("first"), query)?
            ))?;
        }

        print(
            "\n3. Build it again with another batch size, one thread, and the plainest instructions.\n",
        )?;
        let plain = NativeOptions {
            batch: NonZeroUsize::new(7),
            threads: NonZeroUsize::new(1),
            isa: Some(Isa::Scalar),
            ..NativeOptions::default()
        };
        let second = demo.build(plain, &at("second"))?;
        let (same, all) = same_hashes(&first, &second);
        print(&format!(
            "   {same} of {all} artifacts and files have the same hash.\n"
        ))?;

        print(
            "\n4. Build it once more with the sums of a third-party matrix product, and compare.\n\n",
        )?;
        let other = NativeOptions {
            numerics: Numerics {
                variants: vec![Variant::Gemm(Gemm::MatrixMultiply)],
                patches: Vec::new(),
            },
            ..NativeOptions::default()
        };
        demo.build(other, &at("matrixmultiply"))?;
        let a = Side::open(&at("first"))?.named("native");
        let b = Side::open(&at("matrixmultiply"))?.named("native,gemm=matrixmultiply");
        let report = diff(&a, &b, &DiffOptions::default(), &mut |_| ())?;
        print(&diff_table(&report, &environment::style()))?;

        print(
            "\nNext, with your own text and checkpoint:\n\
             \x20 concord index collection.tsv --checkpoint colbert-ir/colbertv2.0 --out index\n\
             \x20 concord search index \"your question\"\n\
             \x20 concord verify index --rebuild collection.tsv\n",
        )?;
        Ok(Outcome::same_if(same == all))
    }
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
