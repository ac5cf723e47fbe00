//! Native engines over the golden checkpoint, and explanations of why two of them differ.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::native::Native;
use concord_engine::settings::IndexSettings;
use concord_lab::Side;
use concord_lab::explain::{ExplainedSide, Explanation, Question, explain};
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_pipeline::{Capture, ModulePattern, NoProgress};
use concord_subject::runner::Runner;
use concord_subject::specification::SubjectSpec;

/// What a run is made with.
pub struct Made {
    pub subject: String,
    pub checkpoint: PathBuf,
    pub texts: Vec<String>,
    pub settings: IndexSettings,
}

impl Made {
    /// The subject that `subject` names, over the golden checkpoint and collection.
    pub fn by(subject: &str) -> Made {
        Made {
            subject: subject.to_owned(),
            checkpoint: golden("checkpoint"),
            texts: golden_texts(),
            settings: IndexSettings::default(),
        }
    }

    pub fn runner(&self) -> Runner {
        let folder = self.checkpoint.to_str().unwrap();
        // A folder is read without looking at the hub.
        let checkpoint = Checkpoint::load(folder, &HubOptions::new("")).unwrap();
        let Ok(SubjectSpec::Native(options)) = self.subject.parse() else {
            panic!("{} is not native", self.subject);
        };
        let collection = Arc::new(Collection::from_passages(&self.texts));
        let settings = self.settings.clone();
        let native = Native::new(Arc::new(checkpoint), collection, options, settings);
        Runner::Native(Box::new(native.unwrap()))
    }
}

pub fn golden(name: &str) -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("../../tests/golden").join(name)
}

pub fn golden_texts() -> Vec<String> {
    let collection = Collection::open(golden("collection.tsv")).unwrap();
    collection.iter().map(str::to_owned).collect()
}

/// What there is of the sides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// Both can be run.
    Runner,
    /// Their runs alone.
    Recorded,
}

/// Records `runner` with the values of its artifacts and the hashes of its modules.
pub fn recorded(runner: &Runner, out: &Path) {
    let capture = Capture {
        artifact_values: true,
        taps: vec![ModulePattern::new("*")],
        ..Capture::default()
    };
    runner.record(capture, out, &NoProgress).unwrap();
}

/// Records two subjects and explains why they differ.
pub fn explained(a: &Made, b: &Made, sides: Sides) -> Explanation {
    let folder = tempfile::tempdir().unwrap();
    let place = |name| folder.path().join(name);
    let (runner_a, runner_b) = (a.runner(), b.runner());
    recorded(&runner_a, &place("a"));
    recorded(&runner_b, &place("b"));
    std::fs::create_dir(place("probes")).unwrap();
    let [run_a, run_b] = ["a", "b"].map(|name| Side::open(&place(name)).unwrap());
    let probes = place("probes");
    let asked = |name: &str, run, runner| ExplainedSide {
        name: name.to_owned(),
        run,
        again: None,
        runner: Some(runner).filter(|_| sides == Sides::Runner),
    };
    let question = Question {
        a: asked(&a.subject, &run_a, &runner_a),
        b: asked(&b.subject, &run_b, &runner_b),
        referee: None,
        scratch: &probes,
    };
    explain(&question, &NoProgress).unwrap()
}

/// Explains why two subjects differ on the golden checkpoint and collection.
pub fn between(a: &str, b: &str) -> Explanation {
    explained(&Made::by(a), &Made::by(b), Sides::Runner)
}
