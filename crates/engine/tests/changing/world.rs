//! Passages, and indexes of them with one codec.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::build::{Layout, build};
use concord_engine::change::{Adding, ChangeError, ChangeReport, add};
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_model::hub::HubOptions;
use concord_pipeline::NoProgress;
use concord_pipeline::artifact::{AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS};

use crate::engine::{engine_over, options, swap};
use crate::golden::input;

/// An id and a text.
pub type Passage = (String, String);

/// The texts of the golden collection.
pub fn texts() -> Vec<String> {
    let all = Collection::open(input("collection.tsv")).unwrap();
    all.iter().map(str::to_owned).collect()
}

/// These texts under ids that are `prefix` and the number.
pub fn passages(range: Range<usize>, prefix: &str) -> Vec<Passage> {
    let texts = texts();
    let passage = |at: usize| (format!("{prefix}{at}"), texts[at].clone());
    range.map(passage).collect()
}

/// What is known of a passage beside its text: some have a number, which depends on the id and on the text.
pub fn number(passage: &Passage) -> Option<usize> {
    let (id, text) = passage;
    let sum: usize = id.bytes().chain(text.bytes()).map(usize::from).sum();
    (!sum.is_multiple_of(5)).then_some(sum % 7)
}

/// A passage as a line of a collection.
pub fn line(passage: &Passage) -> String {
    let (id, text) = passage;
    serde_json::json!({ "_id": id, "text": text, "n": number(passage) }).to_string()
}

/// A collection that brings its ids and numbers.
pub fn collection(passages: &[Passage]) -> Collection {
    let lines: Vec<String> = passages.iter().map(line).collect();
    Collection::parse_beir("passages", lines.join("\n").as_bytes()).unwrap()
}

pub fn adding(passages: &[Passage]) -> Adding {
    adding_of(collection(passages))
}

pub fn adding_of(collection: Collection) -> Adding {
    Adding {
        collection: Arc::new(collection),
        checkpoint: Some(input("checkpoint").to_str().unwrap().to_owned()),
        hub: HubOptions::new(""),
        compute: options("native"),
    }
}

/// A first index, whose codec all others have.
pub struct World {
    base: PathBuf,
}

impl World {
    pub fn new(base: &Path, passages: Vec<Passage>) -> World {
        make(base, &passages, IndexSettings::default());
        World::at(base)
    }

    /// The world of an index that is there.
    pub fn at(base: &Path) -> World {
        World {
            base: base.to_owned(),
        }
    }

    /// An index that is built apart with the codec.
    pub fn shard(&self, out: &Path, passages: Vec<Passage>) {
        self.shard_by("native", out, passages);
    }

    /// [`World::shard`] by the engine that `word` names.
    pub fn shard_by(&self, word: &str, out: &Path, passages: Vec<Passage>) {
        let codec = [CENTROIDS, BUCKET_CUTOFFS, BUCKET_WEIGHTS, AVG_RESIDUAL];
        let swaps = codec.map(|name| swap(name, &self.base)).into();
        let settings = IndexSettings {
            swaps,
            ..IndexSettings::default()
        };
        make_by(word, out, &passages, settings);
    }

    /// A copy of the first index as it is now.
    pub fn copy(&self, to: &Path) {
        fs::create_dir(to).unwrap();
        for file in fs::read_dir(&self.base).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    pub fn add(
        &self,
        index: &Path,
        passages: Vec<Passage>,
        replace: bool,
    ) -> Result<ChangeReport, ChangeError> {
        add(index, &adding(&passages), replace, &NoProgress)
    }
}

pub fn make(out: &Path, passages: &[Passage], settings: IndexSettings) {
    make_by("native", out, passages, settings);
}

fn make_by(word: &str, out: &Path, passages: &[Passage], settings: IndexSettings) {
    let native = engine_over(collection(passages), word, settings).unwrap();
    build(
        &native,
        Layout::default(),
        &Origin::default(),
        out,
        &NoProgress,
    )
    .unwrap();
}
