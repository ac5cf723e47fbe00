//! A stand-in for PyTorch: a process of these tests that answers what the agent in a Python is asked, and computes with
//! the native engine. Unlike that, it alters what a module gives where a rule says so: by the shape of the batch, the
//! place in it, the implementation of attention, a mask, or each time otherwise. So what must be found is known.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
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
use concord_pipeline::{
    ArtifactEvent, Capture, Forcing, ModulePattern, NoProgress, Observer, RecordedRun,
    Replacements, RunManifest, RunWriter, Value,
};
use concord_subject::python::{Environment, Environments, Finished, Recipe, Settings};
use concord_subject::record;
use concord_subject::runner::Runner;
use concord_subject::specification::TorchOptions;
use concord_subject::torch::{Torch, TorchInputs, recipe};
use concord_tensor::{DType, Durability, Tensor};
use serde_json::{Value as Json, json};

use crate::altering::{Computing, Padded, padded};
use crate::golden::checkpoint;
use crate::operations_alone::OperationsAlone;
use crate::rules::Rule;

/// By which rules a process stands in, if it does.
const RULES: &str = "CONCORD_STAND_IN";

/// A subject `torch==…` that is stood in for by these rules, separated by semicolons.
pub fn runner(subject: TorchOptions, rules: &str, inputs: TorchInputs) -> Runner {
    let environment = Arc::new(environment(&subject, rules));
    let torch = Torch::new(subject, environment, inputs, Duration::from_secs(300)).unwrap();
    Runner::Torch(Box::new(torch))
}

/// An environment whose Python is this very program; one for all subjects of the same rules.
fn environment(subject: &TorchOptions, rules: &str) -> Environment {
    let recipe = recipe(subject);
    let program = std::env::current_exe().unwrap();
    let mut named = DefaultHasher::new();
    (rules, &recipe.name(), &program).hash(&mut named);
    let root =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stand-in-{:x}", named.finish()));
    if !root.exists() {
        let draft = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        write_environment(&draft.path().join(recipe.name()), &recipe, &program, rules);
        // Another test may have been first.
        if fs::rename(draft.path(), &root).is_err() {
            assert!(root.exists());
        }
    }
    let environments = Environments::new(&root, Settings::new(""));
    environments.ensure(&recipe, &mut |_| ()).unwrap()
}

fn write_environment(folder: &Path, recipe: &Recipe, program: &Path, rules: &str) {
    fs::create_dir_all(folder.join("bin")).unwrap();
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
    let mut alone = None;
    for line in std::io::stdin().lock().lines() {
        let request: Json = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match request["do"].as_str().unwrap() {
            "record" => recorded(&request, &rules),
            "probe" => probed(&request, &rules),
            "op" => {
                let alone = alone.get_or_insert_with(OperationsAlone::new);
                alone.answer(&request);
                json!({})
            }
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
    Native::new(Arc::new(checkpoint(&folder)), collection, options, settings).unwrap()
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
        durability: Durability::Scratch,
    }
}

fn manifest(request: &Json, native: &Native) -> RunManifest {
    let mut inputs = native.inputs();
    inputs.retain(|name, _| ["checkpoint", "collection"].contains(&name.as_str()));
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
    let field = |artifact: &str, name: &str| {
        let fields = values(artifact);
        fields.into_iter().find(|field| field.0 == name).unwrap().1
    };
    let [text, ends] = ["text", "ends"].map(|name| field("passages", name));
    put(
        "passages",
        Value::of_fields([("text", text), ("ends", ends)]),
    );
    put("num_passages", single("num_passages"));
    let [ids, lengths] = ["ids", "lengths"].map(|name| field("tensorize_output", name));
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
