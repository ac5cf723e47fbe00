//! What is so of two subjects, computed once more and by other ways than `explain` goes: from the whole of both
//! runs, from probes over all passages and from operations that are asked again.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use concord_engine::swap::Swap;
use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_tensor::DType;
use serde_json::Value as Json;

use crate::ask::{Answered, Made, recorded};

/// The embeddings.
pub const LAST: &str = "normalize";

/// What a run's modules gave, by module and passage: hashes, or bits.
type Taps<T> = BTreeMap<String, BTreeMap<usize, T>>;
pub type Values = Taps<Vec<u32>>;
/// The hashes of artifacts, by name.
type Hashes = BTreeMap<String, String>;

pub struct Facts<'a> {
    pub answered: &'a Answered,
    /// The answer as programs read it.
    pub json: Json,
    runs: [RecordedRun; 2],
    pub runners: [Runner; 2],
    forced: OnceCell<Probed>,
    /// What was run already, by what it was run with.
    known: RefCell<BTreeMap<String, Rc<Values>>>,
    made: RefCell<BTreeMap<Vec<String>, Rc<Hashes>>>,
}

/// What modules gave on the values that the first side's read, over all passages.
pub struct Probed {
    folder: PathBuf,
    /// The first side by itself, in its own batches.
    pub a: Rc<Values>,
    /// The embeddings of the second side by itself, in its own batches.
    pub b: Values,
    pub b_in_b: Rc<Values>,
    pub b_in_a: Rc<Values>,
    pub a_in_b: Rc<Values>,
}

impl Facts<'_> {
    pub fn new(answered: &Answered) -> Facts<'_> {
        Facts {
            json: serde_json::to_value(&answered.explanation).unwrap(),
            runs: answered.runs(),
            runners: answered.made.each_ref().map(Made::runner),
            forced: OnceCell::new(),
            known: RefCell::default(),
            made: RefCell::default(),
            answered,
        }
    }

    /// What the encoder's modules were found to do.
    pub fn forced_json(&self) -> &Json {
        &self.json["encoder"]["forced"]
    }

    /// The hashes of a side's artifacts, in the order of the graph.
    pub fn artifacts(&self, side: usize) -> Vec<(String, String)> {
        let records = self.runs[side].artifacts().iter();
        records
            .map(|record| (record.name.clone(), record.hash.to_string()))
            .collect()
    }

    /// The hashes of a side's taps.
    pub fn taps(&self, side: usize) -> Taps<String> {
        let mut taps = Taps::new();
        for tap in self.runs[side].taps() {
            let module = taps.entry(tap.tap.clone()).or_default();
            module.extend(
                tap.passages
                    .iter()
                    .map(|rows| (rows.pid, rows.hash.to_string())),
            );
        }
        taps
    }

    /// The batches of a side: the passages of each and their tokens.
    pub fn batches(&self, side: usize) -> Vec<Vec<(usize, usize)>> {
        let taps = self.runs[side].taps().iter().filter(|tap| tap.tap == LAST);
        taps.map(|tap| {
            let rows = tap.passages.iter();
            rows.map(|rows| (rows.pid, rows.tokens)).collect()
        })
        .collect()
    }

    /// The batch that a side has a passage in.
    pub fn batch_of(&self, side: usize, pid: usize) -> Vec<(usize, usize)> {
        let mut batches = self.batches(side).into_iter();
        let holds = |batch: &Vec<(usize, usize)>| batch.iter().any(|(other, _)| *other == pid);
        batches.find(holds).unwrap()
    }

    /// The rows of the batch that a side has a passage in.
    pub fn rows_of(&self, side: usize, pid: usize) -> usize {
        self.rows_in(side, &self.batch_of(side, pid))
    }

    /// The tokens that each passage of a batch is padded to by a side that pads; `None` of one that does not.
    pub fn padded(&self, side: usize, batch: &[(usize, usize)]) -> Option<usize> {
        let made = &self.answered.made[side];
        let tokens = |batch: &[(usize, usize)]| batch.iter().map(|(_, tokens)| *tokens).max();
        match (made.pads(), made.has("pad=list")) {
            (false, _) => None,
            // All texts of these tests are one list.
            (true, true) => tokens(&self.batches(side).concat()),
            (true, false) => tokens(batch),
        }
    }

    /// The rows of a batch of a side.
    pub fn rows_in(&self, side: usize, batch: &[(usize, usize)]) -> usize {
        match self.padded(side, batch) {
            Some(tokens) => batch.len() * tokens,
            None => batch.iter().map(|(_, tokens)| tokens).sum(),
        }
    }

    /// The passages whose embeddings differ.
    pub fn passages_differing(&self) -> BTreeSet<usize> {
        let [a, b] = [self.taps(0), self.taps(1)];
        differing(&a[LAST], &b[LAST])
    }

    /// For which passages the outputs of a module differ though all that it reads is the same, and for how many it is.
    pub fn departing(&self, module: &str) -> (usize, usize) {
        let [a, b] = [self.taps(0), self.taps(1)];
        let (mut differ, mut equal) = (0, 0);
        let masks = [self.hidden(0, module), self.hidden(1, module)];
        let masked_alike = |pid: &usize| match &masks {
            [Some(a), Some(b)] => a.get(pid) == b.get(pid),
            _ => true,
        };
        for (pid, hash) in &a[module] {
            // A hash of what was handed on says what is read; what was altered between is not read any more.
            let of = |taps: &Taps<String>, path: &str| taps.get(path)?.get(pid).cloned();
            let same = |read: &String| of(&a, read).is_some() && of(&a, read) == of(&b, read);
            let handed = |read: &String| {
                let unaltered =
                    |taps, on: &str| of(taps, on).is_none_or(|on| Some(on) == of(taps, read));
                handed_on(read).is_none_or(|on| unaltered(&a, &on) && unaltered(&b, &on))
            };
            if masked_alike(pid) && reads(module).iter().all(|read| same(read) && handed(read)) {
                equal += 1;
                differ += usize::from(b[module].get(pid) != Some(hash));
            }
        }
        (differ, equal)
    }

    /// For each passage at a module of attention its tokens, and those that are hidden from them; `None` of another
    /// module, and of a run that does not keep the masks.
    pub fn hidden(
        &self,
        side: usize,
        module: &str,
    ) -> Option<BTreeMap<usize, (usize, Vec<usize>)>> {
        let events =
            std::fs::read_to_string(self.runs[side].folder().join("events.jsonl")).unwrap();
        let events = events
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        let mut hidden = BTreeMap::new();
        for event in events.filter(|event| event["tap"] == module) {
            let masks = event["masks"].as_array()?;
            for rows in event["passages"].as_array().unwrap() {
                let of = masks.iter().find(|mask| mask["pid"] == rows["pid"]);
                let places = of.map_or(&Json::Null, |mask| &mask["hidden"]).as_array();
                let places = places
                    .into_iter()
                    .flatten()
                    .map(|place| place.as_u64().unwrap() as usize);
                let tokens = rows["tokens"].as_u64().unwrap() as usize;
                hidden.insert(
                    rows["pid"].as_u64().unwrap() as usize,
                    (tokens, places.collect()),
                );
            }
        }
        Some(hidden)
    }

    /// Whether a side's module gave what one of those that it reads gave, in its own run.
    pub fn gives_back(&self, side: usize, module: &str) -> bool {
        let taps = self.taps(side);
        let mut inputs = match layer_alone(module) {
            true => vec![before_layer(module)],
            false => reads(module),
        };
        // What is not run inside of it hands nothing on: what that would read is read instead.
        if inputs.iter().all(|read| !taps.contains_key(read)) {
            inputs = inputs.iter().flat_map(|read| reads(read)).collect();
        }
        inputs.iter().any(|read| {
            let given = taps.get(read);
            given.is_some_and(|given| *given == taps[module])
        })
    }

    pub fn probed(&self) -> &Probed {
        self.forced.get_or_init(|| {
            let folder = self.answered.place("facts");
            std::fs::create_dir(&folder).unwrap();
            let [a, b] = &self.runners;
            let [in_a, in_b] = [0, 1].map(|side| self.probe_batches(side));
            let own = folder.join("a");
            let values = |runner, name: &str, batches: &[ProbeBatch], given: Option<&Path>| {
                values(runner, &folder.join(name), batches, given, &[], "*")
            };
            let of_a = Rc::new(values(a, "a", &in_a, None));
            let b_in_b = Rc::new(values(b, "b-in-b", &in_b, Some(&own)));
            let in_other = |same: &Rc<Values>, runner, name, batches| match in_a == in_b {
                true => Rc::clone(same),
                false => Rc::new(values(runner, name, batches, Some(&own))),
            };
            Probed {
                b: self::values(b, &folder.join("b"), &in_b, None, &[], LAST),
                b_in_a: in_other(&b_in_b, b, "b-in-a", &in_a),
                a_in_b: in_other(&of_a, a, "a-in-b", &in_b),
                a: of_a,
                b_in_b,
                folder: folder.clone(),
            }
        })
    }

    fn probe_batches(&self, side: usize) -> Vec<ProbeBatch> {
        let batches = self.batches(side).into_iter().enumerate();
        batches
            .map(|(number, batch)| ProbeBatch {
                number,
                pad: self.padded(side, &batch),
                pids: batch.iter().map(|(pid, _)| *pid).collect(),
            })
            .collect()
    }

    /// What the first side gives where these modules have the second side's outputs on the first side's inputs.
    pub fn with_outputs_of_b(&self, modules: &[&str]) -> Rc<Values> {
        self.known(modules.join(" "), |out| {
            let forced = self.probed().folder.join("b-in-b");
            let batches = self.probe_batches(0);
            values(
                &self.runners[0],
                out,
                &batches,
                Some(&forced),
                modules,
                LAST,
            )
        })
    }

    /// What a subject gives in the first side's batches on what the first side's modules read.
    pub fn on_values_of_a(&self, subject: &str) -> Rc<Values> {
        self.known(subject.to_owned(), |out| {
            let mut made = self.answered.made[0].clone();
            made.subject = subject.to_owned();
            let given = self.probed().folder.join("a");
            let batches = self.probe_batches(0);
            values(&made.runner(), out, &batches, Some(&given), &[], "*")
        })
    }

    /// What a module of the first side gives in this one batch, on what the first side's modules read.
    pub fn in_batch(&self, pids: &[usize], pad: usize, module: &str) -> Rc<Values> {
        self.known(format!("{module} in {pids:?} to {pad}"), |out| {
            let given = self.probed().folder.join("a");
            let batch = ProbeBatch {
                number: 0,
                pids: pids.to_vec(),
                pad: Some(pad),
            };
            let runner = &self.runners[0];
            values(runner, out, &[batch], Some(&given), &[], module)
        })
    }

    fn known(&self, what: String, run: impl Fn(&Path) -> Values) -> Rc<Values> {
        if let Some(known) = self.known.borrow().get(&what) {
            return Rc::clone(known);
        }
        let number = self.known.borrow().len();
        let out = self.probed().folder.join(format!("known-{number}"));
        let found = Rc::new(run(&out));
        self.known.borrow_mut().insert(what, Rc::clone(&found));
        found
    }

    /// The hashes of what the second side makes where it is given these artifacts of the first.
    pub fn b_with(&self, artifacts: &[&str]) -> Rc<Hashes> {
        let key: Vec<String> = artifacts.iter().map(|&name| name.to_owned()).collect();
        if let Some(known) = self.made.borrow().get(&key) {
            return Rc::clone(known);
        }
        let mut made = self.answered.made[1].clone();
        let swaps = &mut made.settings.swaps;
        swaps.retain(|swap| !artifacts.contains(&swap.artifact()));
        if self.answered.made[1].pads() {
            // What follows PyTorch's encoder is the native engine, given what that encoder made.
            made.subject = "native".to_owned();
            let missing = ["embs", "doclens"].into_iter();
            for artifact in missing.filter(|artifact| !artifacts.contains(artifact)) {
                swaps.push(Swap::of(artifact, &self.answered.place("b")).unwrap());
            }
        }
        for artifact in artifacts {
            swaps.push(Swap::of(artifact, &self.answered.place("a")).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        recorded(&made.runner(), &run);
        let run = RecordedRun::open(&run).unwrap();
        let records = run.artifacts().iter();
        let hashes = records.map(|record| (record.name.clone(), record.hash.to_string()));
        let hashes = Rc::new(hashes.collect::<Hashes>());
        self.made.borrow_mut().insert(key, Rc::clone(&hashes));
        hashes
    }
}

/// Runs a probe and reads all that the modules at `taps` gave. `given`: what modules compute on; `modules`: those whose outputs
/// are replaced, none for all.
fn values(
    runner: &Runner,
    out: &Path,
    batches: &[ProbeBatch],
    given: Option<&Path>,
    modules: &[&str],
    taps: &str,
) -> Values {
    let capture = Capture {
        artifact_values: false,
        taps: vec![ModulePattern::new(taps)],
        tap_values: true,
        passages: None,
        ..Capture::default()
    };
    let run = given.map(|given| RecordedRun::open(given).unwrap());
    let modules = modules.iter().map(|path| ModulePattern::new(*path));
    let modules: Vec<ModulePattern> = modules.collect();
    let forcing = run.as_ref().map(|run| Forcing::new(run, modules).unwrap());
    runner
        .probe(batches, forcing.as_ref(), capture, out)
        .unwrap();
    let run = RecordedRun::open(out).unwrap();
    let mut values = Values::new();
    for tap in run.taps() {
        let blob = run.tensor(tap.blob.unwrap()).unwrap().unwrap();
        let wide = blob.read().unwrap().cast(DType::F32).unwrap();
        let mut rest = wide.as_slice::<f32>().unwrap();
        let module = values.entry(tap.tap.clone()).or_default();
        for rows in &tap.passages {
            let (own, others) = rest.split_at(rows.tokens * tap.width);
            module.insert(rows.pid, own.iter().map(|value| value.to_bits()).collect());
            rest = others;
        }
    }
    values
}

/// The passages for which two differ.
pub fn differing<T: PartialEq>(a: &BTreeMap<usize, T>, b: &BTreeMap<usize, T>) -> BTreeSet<usize> {
    let differ = a.iter().filter(|(pid, value)| b.get(pid) != Some(value));
    differ.map(|(pid, _)| *pid).collect()
}

/// The mean absolute difference of the embeddings of these passages.
pub fn mean_difference(a: &Values, b: &Values, pids: &BTreeSet<usize>) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for pid in pids {
        for (x, y) in a[LAST][pid].iter().zip(&b[LAST][pid]) {
            let [x, y] = [x, y].map(|bits| f64::from(f32::from_bits(*bits)));
            sum += (x - y).abs();
            count += 1;
        }
    }
    sum / count as f64
}

/// Whether a path is a layer's own.
fn layer_alone(module: &str) -> bool {
    let number = module.strip_prefix("bert.encoder.layer.");
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

fn before_layer(module: &str) -> String {
    let (layers, number) = module.rsplit_once('.').unwrap();
    match number.parse::<usize>().unwrap() {
        0 => "bert.embeddings.LayerNorm".to_owned(),
        number => format!("{layers}.{}", number - 1),
    }
}

/// What the last of a layer, or the embeddings, hand on: the states that the next layer reads.
fn states_before(layer: usize) -> String {
    match layer {
        0 => "bert.embeddings.LayerNorm".to_owned(),
        layer => format!("bert.encoder.layer.{}.output.LayerNorm", layer - 1),
    }
}

/// The container that hands on what a module gave, if others read it through that.
fn handed_on(module: &str) -> Option<String> {
    let container = module.strip_suffix(".LayerNorm")?;
    Some(container.to_owned())
}

/// Whose outputs each module that computes reads: the model of the golden checkpoint, which has two layers.
pub fn reads(module: &str) -> Vec<String> {
    let last = states_before(2);
    let Some(rest) = module.strip_prefix("bert.encoder.layer.") else {
        return match module {
            "bert.embeddings.LayerNorm" => ["word", "position"]
                .map(|table| format!("bert.embeddings.{table}_embeddings"))
                .to_vec(),
            "linear" => vec![last],
            "mask" => vec!["linear".to_owned()],
            "normalize" => vec!["mask".to_owned()],
            _ => Vec::new(),
        };
    };
    let (number, inside) = rest.split_once('.').unwrap();
    let before = states_before(number.parse().unwrap());
    let at = |path: &str| format!("bert.encoder.layer.{number}.{path}");
    match inside {
        "attention.self.query" | "attention.self.key" | "attention.self.value" => vec![before],
        "attention.self" => ["query", "key", "value"]
            .map(|of| at(&format!("attention.self.{of}")))
            .to_vec(),
        "attention.output.dense" => vec![at("attention.self")],
        "attention.output.LayerNorm" => vec![at("attention.output.dense"), before],
        "intermediate.dense" => vec![at("attention.output.LayerNorm")],
        "intermediate.intermediate_act_fn" => vec![at("intermediate.dense")],
        "output.dense" => vec![at("intermediate.intermediate_act_fn")],
        "output.LayerNorm" => vec![at("output.dense"), at("attention.output.LayerNorm")],
        other => panic!("{other} computes nothing"),
    }
}

/// What a module does, as the program calls it.
pub fn operation_of(module: &str) -> &'static str {
    match module.rsplit('.').next().unwrap() {
        "LayerNorm" => "addition and layer normalisation",
        "query" | "key" | "value" | "dense" | "linear" => "linear layer",
        "self" => "attention",
        "intermediate_act_fn" => "GELU",
        "mask" => "mask",
        "normalize" => "normalisation to unit length",
        other => panic!("{other} has no operation"),
    }
}
