//! Subjects over the golden checkpoint, and explanations of why two of them differ, with all that a check of what
//! they say needs: the runs, and the subjects to be run again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::native::Native;
use concord_engine::settings::IndexSettings;
use concord_engine::swap::Swap;
use concord_lab::Side;
use concord_lab::explain::{ExplainedSide, Explanation, Question, explain};
use concord_pipeline::{Capture, ModulePattern, NoProgress, RecordedRun};
use concord_subject::runner::Runner;
use concord_subject::specification::SubjectSpec;
use concord_subject::torch::TorchInputs;
use tempfile::TempDir;

use crate::golden::{checkpoint, golden, golden_texts};
use crate::rules::Rule;
use crate::stand_in;

/// What a run is made with.
#[derive(Clone)]
pub struct Made {
    /// What the native engine is told.
    pub subject: String,
    checkpoint: Altered,
    pub texts: Vec<String>,
    pub settings: IndexSettings,
    /// By which rules a stand-in for PyTorch alters what it computes.
    pub alters: Vec<String>,
}

/// The golden checkpoint, or a copy of it in which one number of a tensor is another one.
#[derive(Clone)]
enum Altered {
    No,
    In(Arc<TempDir>),
}

impl Made {
    /// What `word` names: a subject of the native engine, with the settings of an index among its options and, for
    /// these tests, `alters:RULE` (of a `torch==…` that is stood in for), `weight:TENSOR` (one number altered), `text:PID`
    /// (a word added to a passage), `texts=reversed` and `given:ARTIFACT=SUBJECT` (as that subject made it, over the same
    /// collection).
    pub fn by(word: &str) -> Made {
        let mut made = Made {
            subject: String::new(),
            checkpoint: Altered::No,
            texts: golden_texts(),
            settings: IndexSettings::default(),
            alters: Vec::new(),
        };
        let mut options = Vec::new();
        for option in word.split(',') {
            let number = |value: &str| value.parse().unwrap();
            match option.split_once(['=', ':']) {
                Some(("seed", value)) => made.settings.seed = value.parse().unwrap(),
                Some(("nbits", value)) => made.settings.nbits = Some(number(value)),
                Some(("doc_maxlen", value)) => made.settings.doc_maxlen = Some(number(value)),
                Some(("kmeans_niters", value)) => made.settings.kmeans_niters = Some(number(value)),
                Some(("weight", tensor)) => {
                    made.checkpoint = Altered::In(Arc::new(with_altered(tensor)));
                }
                Some(("text", pid)) => made.texts[number(pid)].push_str(" and the heron"),
                Some(("texts", "reversed")) => made.texts.reverse(),
                Some(("alters", rule)) => made.alters.push(rule.to_owned()),
                Some(("given", swap)) => made.settings.swaps.push(given(swap)),
                _ => options.push(option),
            }
        }
        made.subject = options.join(",");
        made
    }

    /// Whether it is one that pads its batches.
    pub fn pads(&self) -> bool {
        self.subject.starts_with("torch==")
    }

    /// Whether an option is among its words.
    pub fn has(&self, option: &str) -> bool {
        self.subject.split(',').any(|own| own == option)
    }

    /// The rules by which a module is altered.
    pub fn rules_at(&self, module: &str) -> Vec<Rule> {
        let rules = self.alters.iter().map(|rule| Rule::of(rule));
        rules.filter(|rule| rule.module == module).collect()
    }

    pub fn runner(&self) -> Runner {
        let folder = match &self.checkpoint {
            Altered::No => golden("checkpoint"),
            Altered::In(folder) => folder.path().to_owned(),
        };
        let checkpoint = checkpoint(&folder);
        let collection = Arc::new(Collection::from_passages(&self.texts));
        let settings = self.settings.clone();
        let options = match self.subject.parse() {
            Ok(SubjectSpec::Native(options)) => options,
            Ok(SubjectSpec::Torch(options)) => {
                let inputs = TorchInputs {
                    checkpoint: Arc::new(checkpoint),
                    folder,
                    collection,
                    settings,
                };
                return stand_in::runner(options, &self.alters.join(";"), inputs);
            }
            _ => panic!("{} cannot be run", self.subject),
        };
        let native = Native::new(Arc::new(checkpoint), collection, options, settings);
        Runner::Native(Box::new(native.unwrap()))
    }
}

/// A copy of the golden checkpoint with one number of one tensor changed.
fn with_altered(tensor: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden("checkpoint")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let file = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let header_length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_length]).unwrap();
    let start = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    // The last byte but one of the first number holds the low bits of its exponent in every dtype there.
    bytes[8 + header_length + start + 2] ^= 0x40;
    fs::write(&file, bytes).unwrap();
    folder
}

/// `centroids=SUBJECT`, with `;` between the options of the subject.
fn given(swap: &str) -> Swap {
    let (artifact, subject) = swap.split_once('=').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    recorded(&Made::by(&subject.replace(';', ",")).runner(), &run);
    Swap::of(artifact, &run).unwrap()
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

/// What there is of the sides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// Both can be run.
    Live,
    /// Their runs alone.
    Recorded,
}

/// An answer, with what it was asked of.
pub struct Answered {
    pub explanation: Explanation,
    pub made: [Made; 2],
    pub sides: Sides,
    folder: TempDir,
}

impl Answered {
    /// Records both subjects, lets `edit` change what was recorded, and asks why they differ.
    pub fn new(a: &str, b: &str, sides: Sides, edit: &dyn Fn([&Path; 2])) -> Answered {
        let folder = tempfile::tempdir().unwrap();
        let made = [Made::by(a), Made::by(b)];
        let runners = made.each_ref().map(Made::runner);
        let runs = ["a", "b"].map(|name| folder.path().join(name));
        for (runner, run) in runners.iter().zip(&runs) {
            recorded(runner, run);
        }
        edit([&runs[0], &runs[1]]);
        // Of a side that does not repeat itself it is known from a second run.
        let again = [0, 1].map(|side: usize| {
            let mut rules = made[side].alters.iter();
            let changes = rules.any(|rule| Rule::of(rule).is_each_time());
            changes.then(|| {
                let again = folder.path().join(["a-again", "b-again"][side]);
                recorded(&runners[side], &again);
                again
            })
        });
        let probes = folder.path().join("probes");
        fs::create_dir(&probes).unwrap();
        let opened = runs.each_ref().map(|run| Side::open(run).unwrap());
        let opened_again = again.map(|run| run.map(|run| Side::open(&run).unwrap()));
        let asked = |side: usize| ExplainedSide {
            name: [a, b][side].to_owned(),
            run: &opened[side],
            again: opened_again[side].as_ref(),
            runner: Some(&runners[side]).filter(|_| sides == Sides::Live),
        };
        let question = Question {
            a: asked(0),
            b: asked(1),
            referee: None,
            scratch: &probes,
        };
        let explanation = explain(&question, &NoProgress).unwrap();
        Answered {
            explanation,
            made,
            sides,
            folder,
        }
    }

    /// Both runs, as they were compared.
    pub fn runs(&self) -> [RecordedRun; 2] {
        ["a", "b"].map(|name| RecordedRun::open(&self.place(name)).unwrap())
    }

    /// A place beside the runs.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
