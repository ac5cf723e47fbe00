//! A stand-in for PyTorch: a process of these tests that answers what the agent in a Python is asked, and computes with
//! the native engine. Unlike that, it alters what a module gives where a rule says so: by the shape of the batch, the
//! place in it, the implementation of attention, a mask, or each time otherwise. So what must be found is known.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use concord_corpus::Collection;
use concord_engine::native::Native;
use concord_engine::options::NativeOptions;
use concord_engine::settings::IndexSettings;
use concord_model::checkpoint::Checkpoint;
use concord_model::document::Batch;
use concord_model::hub::HubOptions;
use concord_pipeline::{
    ArtifactEvent, Capture, Forcing, ForcingError, ModulePattern, NoProgress, Observer, OtherMask,
    RecordedRun, Replacements, RunManifest, RunWriter, StageError, Tap, TapSink, TappedPassage,
    Value,
};
use concord_subject::operations::{Operations, RowOperation};
use concord_subject::python::{Environment, Environments, Finished, Settings};
use concord_subject::record;
use concord_subject::runner::Runner;
use concord_subject::specification::TorchOptions;
use concord_subject::torch::{Torch, TorchInputs, recipe};
use concord_tensor::{BitHash, DType, Tensor, safetensors};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// By which rules a process stands in, if it does.
const RULES: &str = "CONCORD_STAND_IN";

/// What a module gives otherwise, and for which passages.
#[derive(Clone, Debug)]
pub struct Rule {
    pub module: String,
    pub when: When,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The batch is padded to more tokens.
    Tokens(usize),
    /// The batch has more passages.
    Passages(usize),
    /// The passage is further behind in its batch.
    Place(usize),
    /// The attention of the subject is this one.
    Sdpa,
    /// Each time otherwise.
    EachTime,
    /// This passage does not attend to this token.
    Hides(usize, usize),
}

impl Rule {
    /// `bert.encoder.layer.0.attention.self@tokens>20`
    pub fn of(text: &str) -> Rule {
        let (module, when) = text.split_once('@').unwrap();
        let number = |text: &str| text.parse().unwrap();
        let when = match when.split_once(['>', '=']) {
            Some(("tokens", more)) => When::Tokens(number(more)),
            Some(("passages", more)) => When::Passages(number(more)),
            Some(("place", more)) => When::Place(number(more)),
            Some(("hides", what)) => {
                let (pid, token) = what.split_once('.').unwrap();
                When::Hides(number(pid), number(token))
            }
            None if when == "sdpa" => When::Sdpa,
            None if when == "each-time" => When::EachTime,
            _ => panic!("{text}"),
        };
        Rule {
            module: module.to_owned(),
            when,
        }
    }
}

/// A subject `torch==…` that is stood in for by these rules, separated by semicolons.
pub fn runner(subject: TorchOptions, rules: &str, inputs: TorchInputs) -> Runner {
    let folder = tempfile::tempdir().unwrap();
    let environment = Arc::new(environment(&folder, &subject, rules));
    let torch = Torch::new(subject, environment, inputs, Duration::from_secs(300)).unwrap();
    // The tests of one process are few.
    let _ = folder.keep();
    Runner::Torch(Box::new(torch))
}

/// An environment whose Python is this very program.
fn environment(root: &TempDir, subject: &TorchOptions, rules: &str) -> Environment {
    let recipe = recipe(subject);
    let folder = root.path().join(recipe.name());
    fs::create_dir_all(folder.join("bin")).unwrap();
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n{RULES}='{rules}' exec '{}' --exact stand_in::answers_requests --nocapture --test-threads 1\n",
        program.display()
    );
    let draft = folder.join("draft");
    fs::write(&draft, script).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    // A file that this process has written cannot be run while another test starts a process.
    let python = folder.join("bin/python");
    let copied = Command::new("cp").args([&draft, &python]).status().unwrap();
    assert!(copied.success());
    let finished = Finished {
        torch: recipe.torch(),
        engine: recipe.engine(),
        python: "3.11.7".to_owned(),
        uv: "none".to_owned(),
        cpu_wheels: true,
        requirements: recipe.requirements(),
        constraints: recipe.constraints(),
        departures: recipe.departures(),
        installed: Vec::new(),
    };
    let text = serde_json::to_vec(&finished).unwrap();
    fs::write(folder.join("finished.json"), text).unwrap();
    fs::write(folder.join("last_used"), "").unwrap();
    let environments = Environments::new(root.path(), Settings::new(""));
    environments.ensure(&recipe, &mut |_| ()).unwrap()
}

/// Nothing in a process that stands in for nobody.
#[test]
fn answers_requests() {
    let Ok(rules) = std::env::var(RULES) else {
        return;
    };
    let rules = rules.split(';').filter(|rule| !rule.is_empty());
    let rules: Vec<Rule> = rules.map(Rule::of).collect();
    // What the harness printed ends here.
    println!();
    for line in std::io::stdin().lock().lines() {
        let request: Json = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match request["do"].as_str().unwrap() {
            "record" => recorded(&request, &rules),
            "probe" => probed(&request, &rules),
            "op" => operation(&request),
            other => panic!("{other}"),
        };
        println!("{}", json!({ "id": request["id"], "ok": answer }));
        std::io::stdout().flush().unwrap();
    }
}

fn path(request: &Json, name: &str) -> PathBuf {
    PathBuf::from(request[name].as_str().unwrap())
}

fn number(json: &Json) -> usize {
    json.as_u64().unwrap() as usize
}

/// The native engine on what a request names.
fn native(request: &Json) -> Native {
    let folder = path(request, "checkpoint");
    let checkpoint = Checkpoint::load(folder.to_str().unwrap(), &HubOptions::new("")).unwrap();
    let passages = fs::read_to_string(path(request, "collection")).unwrap();
    let texts: Vec<String> = passages
        .lines()
        .map(|line| {
            let passage: Json = serde_json::from_str(line).unwrap();
            passage["text"].as_str().unwrap().to_owned()
        })
        .collect();
    let optional = |name: &str| request[name].as_u64().map(|number| number as usize);
    let settings = IndexSettings {
        nbits: optional("nbits"),
        doc_maxlen: optional("doc_maxlen"),
        kmeans_niters: optional("kmeans_niters"),
        ..IndexSettings::default()
    };
    let collection = Arc::new(Collection::from_passages(&texts));
    let options = NativeOptions::default();
    Native::new(Arc::new(checkpoint), collection, options, settings).unwrap()
}

fn capture(request: &Json) -> Capture {
    let patterns = request["taps"].as_array().unwrap().iter();
    let pids = request["pids"].as_array();
    Capture {
        artifact_values: true,
        taps: patterns
            .map(|pattern| ModulePattern::new(pattern.as_str().unwrap()))
            .collect(),
        tap_values: ["taps", "all"].contains(&request["capture"].as_str().unwrap()),
        passages: pids.map(|pids| pids.iter().map(number).collect()),
    }
}

fn manifest(request: &Json, native: &Native) -> RunManifest {
    let mut inputs = record_inputs(native);
    inputs.insert(
        "checkpoint".to_owned(),
        request["checkpoint_hash"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
    );
    let options = ["engine", "batch", "pad", "attention"]
        .map(|name| (name.to_owned(), request[name].clone()));
    RunManifest::new(
        "stand-in".to_owned(),
        None,
        inputs,
        options.into_iter().collect(),
    )
}

fn record_inputs(native: &Native) -> BTreeMap<String, BitHash> {
    let mut inputs = native.inputs();
    inputs.retain(|name, _| ["checkpoint", "collection"].contains(&name.as_str()));
    inputs
}

/// A batch, and how far it is padded.
struct Padded {
    batch: Batch,
    tokens: usize,
}

/// Passages as a batch, padded to the longest or as far as is said.
fn padded(native: &Native, number: usize, pids: &[usize], pad: Option<usize>) -> Padded {
    let tokenizer = &native.encoder().tokenizer;
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    for &pid in pids {
        let text = native.collection().texts(pid..pid + 1).next().unwrap();
        let own = tokenizer.encode_one(text).unwrap();
        lengths.push(own.len());
        ids.extend(own);
    }
    let longest = *lengths.iter().max().unwrap();
    let batch = Batch {
        number,
        pids: pids.to_vec(),
        ids,
        lengths,
    };
    Padded {
        batch,
        tokens: pad.unwrap_or(longest),
    }
}

/// Records all artifacts up to the embeddings, as the agent does.
fn recorded(request: &Json, rules: &[Rule]) -> Json {
    let native = native(request);
    let out = path(request, "out");
    let writer = RunWriter::create(&out, capture(request)).unwrap();
    // What comes before the encoder is the native engine's.
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("run");
    let all = Capture {
        artifact_values: true,
        ..Capture::default()
    };
    record::record(&native, all, &own, &NoProgress).unwrap();
    let own = RecordedRun::open(&own).unwrap();
    let values = |artifact: &str| -> Vec<(String, Tensor)> {
        let record = own
            .artifacts()
            .iter()
            .find(|record| record.name == artifact);
        let [chunk] = record.unwrap().chunks.as_slice() else {
            panic!("several chunks");
        };
        let fields = chunk.fields.iter();
        fields
            .map(|field| {
                let stored = own.tensor(field.hash).unwrap().unwrap();
                (field.name.clone(), stored.read().unwrap())
            })
            .collect()
    };
    let put = |artifact: &str, value: Value| {
        let event = ArtifactEvent {
            artifact: artifact.to_owned(),
            chunk: 0,
            made_from: None,
            record: value.record(),
        };
        writer.artifact(&event, Some(&value)).unwrap();
    };
    let single = |artifact: &str| Value::from(values(artifact).remove(0).1);
    for artifact in ["passages", "num_passages"] {
        put(artifact, single(artifact));
    }
    let [ids, lengths] = ["ids", "lengths"].map(|name| {
        let fields = values("tensorize_output");
        fields.into_iter().find(|field| field.0 == name).unwrap().1
    });
    let lengths_of: Vec<usize> = lengths
        .as_slice::<i64>()
        .unwrap()
        .iter()
        .map(|&length| length as usize)
        .collect();
    put(
        "tensorize_output",
        Value::of_fields([("ids", ids), ("lengths", lengths)]),
    );
    let mut order: Vec<usize> = (0..lengths_of.len()).collect();
    let size = request["batch"].as_u64().map_or(32, |batch| batch as usize);
    if order.len() > size {
        order.sort_by_key(|&pid| lengths_of[pid]);
    }
    let longest = *lengths_of.iter().max().unwrap();
    let pad = (request["pad"] == "list").then_some(longest);
    let batches: Vec<Padded> = order
        .chunks(size)
        .enumerate()
        .map(|(number, pids)| padded(&native, number, pids, pad))
        .collect();
    let mut rows = vec![Vec::new(); lengths_of.len()];
    let computing = Computing {
        native: &native,
        rules,
        sdpa: request["attention"] == "sdpa",
        outer: None,
    };
    computing.encode(&batches, &writer, &mut |pid, own| rows[pid] = own);
    let dim = native.encoder().encoder.dim();
    let mask = values("batches")
        .into_iter()
        .find(|field| field.0 == "mask_");
    let mask = mask.unwrap().1;
    let rows: Vec<f32> = rows.concat();
    let kept: Vec<f32> = rows
        .chunks(dim)
        .zip(mask.bytes())
        .filter(|(_, kept)| **kept != 0)
        .flat_map(|(row, _)| row.iter().copied())
        .collect();
    let tensor = |rows: Vec<f32>| Tensor::new(vec![rows.len() / dim, dim], rows).unwrap();
    let (d, kept) = (tensor(rows), tensor(kept));
    let embs = kept.cast(DType::F16).unwrap();
    put("batches", Value::of_fields([("D_", d), ("mask_", mask)]));
    put("D", kept.into());
    put("doclens", single("doclens"));
    put("embs", embs.into());
    writer.finish(&manifest(request, &native)).unwrap();
    json!({})
}

fn probed(request: &Json, rules: &[Rule]) -> Json {
    let native = native(request);
    let writer = RunWriter::create(&path(request, "out"), capture(request)).unwrap();
    let batches = request["batches"].as_array().unwrap().iter();
    let batches: Vec<Padded> = batches
        .map(|batch| {
            let pids: Vec<usize> = batch["pids"]
                .as_array()
                .unwrap()
                .iter()
                .map(number)
                .collect();
            let pad = batch["pad"].as_u64().map(|pad| pad as usize);
            padded(&native, number(&batch["number"]), &pids, pad)
        })
        .collect();
    let force = request["force"].as_str().map(Path::new);
    let run = force.map(|force| RecordedRun::open(force).unwrap());
    let modules = request["force_modules"].as_array().unwrap().iter();
    let modules = modules.map(|module| ModulePattern::new(module.as_str().unwrap()));
    let modules: Vec<ModulePattern> = modules.collect();
    let forcing = run.as_ref().map(|run| Forcing::new(run, modules).unwrap());
    let computing = Computing {
        native: &native,
        rules,
        sdpa: request["attention"] == "sdpa",
        outer: forcing.as_ref().map(|forcing| forcing as &dyn Replacements),
    };
    computing.encode(&batches, &writer, &mut |_, _| ());
    writer.finish(&manifest(request, &native)).unwrap();
    json!({})
}

/// A pass over batches by rules.
struct Computing<'a> {
    native: &'a Native,
    rules: &'a [Rule],
    sdpa: bool,
    /// What modules are given by whoever asks.
    outer: Option<&'a dyn Replacements>,
}

/// What modules give instead of what they computed, by module and passage.
type Altered = BTreeMap<(String, usize), Tensor>;

impl Computing<'_> {
    /// Encodes the batches; `take` gets the embeddings of each passage.
    fn encode(
        &self,
        batches: &[Padded],
        writer: &RunWriter,
        take: &mut dyn FnMut(usize, Vec<f32>),
    ) {
        let plain: Vec<Batch> = batches.iter().map(|padded| padded.batch.clone()).collect();
        let mut altered = Altered::new();
        let encoder = self.native.encoder();
        for (place, rule) in self.rules.iter().enumerate() {
            let seen = Seen {
                module: &rule.module,
                taps: Default::default(),
            };
            let given = self.given(&altered);
            encoder
                .encode(&plain, Some(&seen), Some(&given), |_| (), |_, _| ())
                .unwrap();
            for tap in seen.taps.into_inner().unwrap() {
                let batch = batches
                    .iter()
                    .find(|padded| padded.batch.number == tap.batch);
                let rows = tap.rows.unwrap();
                let mut first = 0;
                for own in &tap.passages {
                    let rows = rows.slice_rows(first..first + own.tokens).unwrap();
                    first += own.tokens;
                    if self.applies(rule.when, own.pid, batch.unwrap()) {
                        let key = (rule.module.clone(), own.pid);
                        let before = altered.remove(&key).unwrap_or(rows);
                        altered.insert(key, otherwise(&before, rule.when, place));
                    }
                }
            }
        }
        let given = self.given(&altered);
        let taps = AsAltered {
            writer,
            altered: &altered,
            rules: self.rules,
        };
        encoder
            .encode(
                &plain,
                Some(&taps),
                Some(&given),
                |_| (),
                |batch, rows| {
                    let dim = encoder.encoder.dim();
                    let mut rest = rows.as_slice();
                    for (pid, tokens) in batch.pids.iter().zip(&batch.lengths) {
                        let (own, others) = rest.split_at(tokens * dim);
                        take(*pid, own.to_vec());
                        rest = others;
                    }
                },
            )
            .unwrap();
    }

    fn applies(&self, when: When, pid: usize, padded: &Padded) -> bool {
        let pids = &padded.batch.pids;
        match when {
            When::Tokens(more) => padded.tokens > more,
            When::Passages(more) => pids.len() > more,
            When::Place(more) => pids.iter().position(|own| *own == pid) > Some(more),
            When::Sdpa => self.sdpa,
            When::EachTime => true,
            When::Hides(hiding, _) => pid == hiding,
        }
    }

    fn given<'g>(&'g self, altered: &'g Altered) -> Given<'g> {
        Given {
            outer: self.outer,
            altered,
        }
    }
}

/// The same with other low bits; those of one rule are not those of another.
fn otherwise(rows: &Tensor, when: When, rule: usize) -> Tensor {
    let bits = match when {
        When::EachTime => std::process::id() | 1,
        _ => 1 << rule,
    };
    let values = rows.as_slice::<f32>().unwrap().iter();
    let values = values.map(|value| f32::from_bits(value.to_bits() ^ (bits & 0xfff)));
    Tensor::new(rows.shape().to_vec(), values.collect::<Vec<f32>>()).unwrap()
}

struct Given<'a> {
    outer: Option<&'a dyn Replacements>,
    altered: &'a Altered,
}

impl Replacements for Given<'_> {
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError> {
        if let Some(outer) = self.outer
            && let Some(rows) = outer.rows(path, pid)?
        {
            return Ok(Some(rows));
        }
        Ok(self.altered.get(&(path.to_owned(), pid)).cloned())
    }
}

/// Keeps what one module computed.
struct Seen<'a> {
    module: &'a str,
    taps: std::sync::Mutex<Vec<Tap>>,
}

impl TapSink for Seen<'_> {
    fn wants_passage(&self, _: usize) -> bool {
        true
    }

    fn wants_path(&self, path: &str) -> bool {
        path == self.module
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        self.taps.lock().unwrap().push(tap);
        Ok(())
    }
}

/// Writes taps with what was altered in them.
struct AsAltered<'a> {
    writer: &'a RunWriter,
    altered: &'a Altered,
    rules: &'a [Rule],
}

impl TapSink for AsAltered<'_> {
    fn wants_passage(&self, pid: usize) -> bool {
        self.writer.wants_passage(pid)
    }

    fn wants_path(&self, path: &str) -> bool {
        self.writer.wants_path(path)
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        let rows = tap.rows.as_ref().unwrap();
        let mut values = Vec::new();
        let (mut first, mut masks) = (0, Vec::new());
        for own in &tap.passages {
            let computed = rows.slice_rows(first..first + own.tokens)?;
            first += own.tokens;
            let altered = self.altered.get(&(tap.path.clone(), own.pid));
            values.extend_from_slice(altered.unwrap_or(&computed).as_slice::<f32>()?);
            for rule in self.rules.iter().filter(|rule| rule.module == tap.path) {
                if let When::Hides(pid, token) = rule.when
                    && pid == own.pid
                {
                    let attended: Vec<bool> = (0..own.tokens).map(|own| own != token).collect();
                    masks.extend(OtherMask::of(pid, &attended));
                }
            }
        }
        let passages = tap.passages.iter();
        let passages: Vec<TappedPassage> = passages
            .map(|own| TappedPassage {
                pid: own.pid,
                tokens: own.tokens,
            })
            .collect();
        let values = Tensor::new(rows.shape().to_vec(), values)?;
        let altered = Tap::of(&tap.path, tap.batch, &passages, values)?;
        self.writer.tap(Tap {
            masks: tap.masks.map(|_| masks),
            ..altered
        })
    }
}

/// A single operation: the native engine's, and a softmax in its own words.
fn operation(request: &Json) -> Json {
    let inputs = safetensors::read(&path(request, "inputs")).unwrap();
    let tensor = |name: &str| {
        inputs
            .iter()
            .find(|input| input.0 == name)
            .unwrap()
            .1
            .clone()
    };
    let values = |name: &str| tensor(name).as_slice::<f32>().unwrap().to_vec();
    let x = tensor("x");
    let runner = Runner::Native(Box::new(
        Native::new(
            Arc::new(
                Checkpoint::load(
                    crate::ask::golden("checkpoint").to_str().unwrap(),
                    &HubOptions::new(""),
                )
                .unwrap(),
            ),
            Arc::new(Collection::from_passages(&["a".to_owned()])),
            NativeOptions::default(),
            IndexSettings::default(),
        )
        .unwrap(),
    ));
    let mut operations = Operations::of(&runner, "").unwrap();
    let mut by_rows = |operation| operations.by_rows(operation, &x).unwrap();
    let y = match request["op"].as_str().unwrap() {
        "softmax" => {
            let rows = x.as_slice::<f32>().unwrap().chunks(x.row_len());
            let softmax = |row: &[f32]| {
                let max = row.iter().copied().fold(f32::MIN, f32::max);
                let exp: Vec<f32> = row.iter().map(|x| (x - max).exp()).collect();
                let sum: f32 = exp.iter().sum();
                exp.into_iter().map(move |e| e / sum).collect::<Vec<f32>>()
            };
            Tensor::new(
                x.shape().to_vec(),
                rows.flat_map(softmax).collect::<Vec<f32>>(),
            )
            .unwrap()
        }
        "gelu" => by_rows(RowOperation::Gelu),
        "normalize" => by_rows(RowOperation::Normalize),
        "layer_norm" => by_rows(RowOperation::LayerNorm {
            gamma: &values("weight"),
            beta: &values("bias"),
            eps: request["eps"].as_f64().unwrap(),
        }),
        "linear" => {
            let (x, weight) = (values("x"), values("weight"));
            let inputs = tensor("weight").row_len();
            let y = operations.linear(&x, &weight, inputs).unwrap();
            let rows = x.len() / inputs;
            Tensor::new(vec![rows, y.len() / rows], y).unwrap()
        }
        other => panic!("{other}"),
    };
    safetensors::write(&path(request, "out"), &[("y".to_owned(), y)]).unwrap();
    json!({})
}
