//! PyTorch subjects, with a script in Python's place that hands out a run of the native engine.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use concord_subject::python::{Engine, Recipe, WITH_SDPA};
use serde_json::{Value, json};

use crate::folder;
use crate::golden;
use crate::program::{Ended, Workplace};
use crate::python::{ENVIRONMENTS, command, environment, environment_of, run};
use crate::record::events;

const INPUTS: &str = "--checkpoint CHECKPOINT --collection COLLECTION --passages 8";

/// The artifacts of a plain BERT.
const ENCODED: [&str; 7] = [
    "passages",
    "num_passages",
    "tensorize_output",
    "batches",
    "D",
    "doclens",
    "embs",
];

/// Writes down what it is asked, and answers with a copy of the run `encoded`.
const ANSWER: &str = r#"
part() { printf '%s' "$line" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
read -r line
say "$line" > "$here/request"
say "$CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS" > "$here/variables"
cp "$(part collection)" "$here/collection"
cp -r "$here/encoded" "$(part out)"
say '{"id": 1, "progress": {"stage": "encode", "done": 8, "total": 8}}'
say '{"id": 1, "ok": {}}'
read -r line"#;

/// A workplace with the run `native`, and of that the run `encoded`, which goes up to the embeddings.
fn place() -> Workplace {
    let place = Workplace::new();
    place.done(&format!(
        "record native --taps * --keep all --out native {INPUTS}"
    ));
    cut_at_embeddings(&place, "native", "encoded");
    place
}

/// The run of a native subject, up to the embeddings.
fn encoded_of(place: &Workplace, subject: &str, name: &str) -> std::path::PathBuf {
    let whole = format!("{name}-whole");
    place.done(&format!(
        "record {subject} --taps * --keep all --out {whole} {INPUTS}"
    ));
    cut_at_embeddings(place, &whole, name)
}

fn cut_at_embeddings(place: &Workplace, whole: &str, name: &str) -> std::path::PathBuf {
    let encoded = place.path(name);
    let copied = Command::new("cp")
        .arg("-r")
        .args([place.path(whole), encoded.clone()])
        .status();
    assert!(copied.unwrap().success());
    let kept: String = events(&encoded)
        .iter()
        .filter(|event| {
            event["artifact"]
                .as_str()
                .is_none_or(|artifact| ENCODED.contains(&artifact))
        })
        .map(|event| format!("{event}\n"))
        .collect();
    fs::write(encoded.join("events.jsonl"), kept).unwrap();
    // The hashes are of all events.
    fs::remove_file(encoded.join("SHA256SUMS")).unwrap();
    encoded
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_of_torch_is_completed_by_the_native_stages() {
    let place = place();
    environment(&place, "2.5.1", ANSWER);
    let ended = run(
        &place,
        &format!("record torch==2.5.1 --taps * --out run {INPUTS}"),
    )
    .with_code(0);
    assert!(
        ended.out.starts_with("run: 21 artifacts, "),
        "{}",
        ended.out
    );
    let departure = "sympy 1.13.1 instead of 1.14.0: PyTorch 2.5.0 to 2.6.0 accept no other";
    let note = format!("note: torch==2.5.1,engine=bert: {departure}");
    assert!(ended.err.lines().any(|line| line == note), "{}", ended.err);

    place.done("diff run native");
    let manifest = json_of(&place.path("run/manifest.json"));
    assert_eq!(manifest["subject"], "torch==2.5.1,engine=bert");
    assert_eq!(manifest["contract"], Value::Null);
    assert_eq!(manifest["options"]["departures"], json!([departure]));
    let after = manifest["options"]["stages_after_encoder"]
        .as_str()
        .unwrap();
    assert!(after.starts_with("native, contract "), "{after}");
    // Each artifact is recorded once, those of PyTorch's process first.
    let artifacts: Vec<String> = events(&place.path("run"))
        .iter()
        .filter_map(|event| Some(event["artifact"].as_str()?.to_owned()))
        .collect();
    let distinct: std::collections::BTreeSet<&String> = artifacts.iter().collect();
    assert_eq!(distinct.len(), artifacts.len());
    assert!(ENCODED.contains(&artifacts[0].as_str()), "{artifacts:?}");
    assert!(!place.names().iter().any(|name| name.starts_with('.')));
}

#[test]
fn torch_is_asked_for_what_the_command_line_says() {
    let place = place();
    environment(&place, "2.4.1", ANSWER);
    let recipe = Recipe::new("2.4.1".parse().unwrap(), Engine::Bert);
    environment_of(&place, &recipe.with_transformers(WITH_SDPA), ANSWER);
    let record = |subject: &str, options: &str| {
        run(
            &place,
            &format!("record {subject} --out run {INPUTS} {options}"),
        )
        .with_code(0);
        fs::remove_dir_all(place.path("run")).unwrap();
        json_of(&place.path("request"))
    };
    let plain = record("torch==2.4.1", "");
    let collection = fs::read_to_string(place.path("collection")).unwrap();
    let texts: Vec<Value> = collection
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let golden = fs::read_to_string(golden::collection()).unwrap();
    let expected: Vec<Value> = golden
        .lines()
        .take(8)
        .map(|line| json!({"text": line.split_once('\t').unwrap().1}))
        .collect();
    assert_eq!(texts, expected);
    let hash = &json_of(&place.path("native/manifest.json"))["inputs"]["checkpoint"];
    assert_eq!(plain["checkpoint_hash"], *hash);
    assert!(Path::new(plain["checkpoint"].as_str().unwrap()).is_absolute());
    for (name, value) in [
        ("do", json!("record")),
        ("engine", json!("bert")),
        ("amp", json!("none")),
        ("pad", json!("batch")),
        ("attention", json!("eager")),
        ("dropout", json!("off")),
        ("capture", json!("artifacts")),
        ("keep", json!(["embs", "doclens"])),
        ("taps", json!([])),
        ("pids", Value::Null),
        ("patches", json!([])),
        ("device", Value::Null),
        ("batch", Value::Null),
        ("threads", Value::Null),
        ("doc_maxlen", Value::Null),
    ] {
        assert_eq!(plain[name], value, "{name}");
    }
    // No GPU is seen, and threads are left to PyTorch.
    assert_eq!(fs::read_to_string(place.path("variables")).unwrap(), " \n");

    let chosen = record(
        "torch==2.4.1,amp=bf16,pad=list,attention=sdpa,dropout=on,batch=4",
        "--taps linear --taps bert.embeddings --pids 5,3 --keep taps --threads 3 --doc-maxlen 30",
    );
    for (name, value) in [
        ("amp", json!("bf16")),
        ("pad", json!("list")),
        ("attention", json!("sdpa")),
        ("dropout", json!("on")),
        ("capture", json!("taps")),
        ("taps", json!(["linear", "bert.embeddings"])),
        ("pids", json!([3, 5])),
        ("batch", json!(4)),
        ("threads", json!(3)),
        ("doc_maxlen", json!(30)),
    ] {
        assert_eq!(chosen[name], value, "{name}");
    }
    assert_eq!(fs::read_to_string(place.path("variables")).unwrap(), " 3\n");
    let hashes = record("torch==2.4.1,batch=4", "--keep hashes --batch 5");
    assert_eq!(
        (&hashes["capture"], &hashes["batch"]),
        (&json!("hashes"), &json!(5))
    );
    assert_eq!(hashes["keep"], json!(["embs", "doclens"]));
}

#[test]
fn what_a_torch_subject_has_for_itself_is_what_is_asked_of_it() {
    let place = place();
    environment(&place, "2.4.1", ANSWER);
    crate::sides::copied(&place, "other");
    let own = "checkpoint=./other,nbits=4,doc_maxlen=30,kmeans_niters=2,seed=7";
    let line = format!(
        "record torch==2.4.1,{own} --collection COLLECTION --passages 8 --keep hashes --out run"
    );
    run(&place, &line).with_code(0);
    let request = json_of(&place.path("request"));
    let folder = request["checkpoint"].as_str().unwrap();
    assert!(folder.ends_with("other"), "{folder}");
    for (name, value) in [("nbits", 4), ("doc_maxlen", 30), ("kmeans_niters", 2)] {
        assert_eq!(request[name], json!(value), "{name}");
    }
    // The stages after the encoder have them as well, the seed among them.
    let manifest = json_of(&place.path("run/manifest.json"));
    assert_eq!(
        manifest["subject"],
        format!("torch==2.4.1,engine=bert,{own}")
    );
    for (name, value) in [("nbits", 4), ("kmeans_niters", 2), ("seed", 7)] {
        assert_eq!(manifest["options"][name], json!(value), "{name}");
    }
    // The engine of colbert-ai has a seed of its own.
    let colbert = format!("record torch==2.4.1,engine=colbert,seed=7 --out run2 {INPUTS}");
    run(&place, &colbert).refused(&["--seed is for `native`"]);
}

#[test]
fn hashes_alone_are_kept_where_no_values_are_asked_for() {
    let place = place();
    environment(&place, "2.4.1", ANSWER);
    run(
        &place,
        &format!("record torch==2.4.1 --keep hashes --out run {INPUTS}"),
    )
    .with_code(0);
    assert!(folder::names(&place.path("run/blobs")).is_empty());
    place.done("diff run native");
}

#[test]
fn a_process_that_fails_is_told_of_and_leaves_nothing() {
    let place = place();
    let record = |script: &str, options: &str| {
        let folder = environment(&place, "2.4.1", script);
        let before = place.names();
        let ended = run(
            &place,
            &format!("record torch==2.4.1 --out run {INPUTS} {options}"),
        );
        assert_eq!(place.names(), before, "{script}");
        fs::remove_dir_all(folder).unwrap();
        let Ended { code, out, err } = ended;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        err
    };
    for (script, options, said) in [
        (
            "read -r line; say '{\"id\": 1, \"error\": {\"message\": \"`linear` is gone\", \
             \"traceback\": null}}'; read -r line",
            "",
            "concord: `linear` is gone\n",
        ),
        (
            "read -r line; say '{\"id\": 1, \"error\": {\"message\": \"KeyError: 3\", \"traceback\": \
             \"Traceback:\\n  File x\\n\"}}'; read -r line",
            "",
            "concord: KeyError: 3\nPython's traceback:\n  Traceback:\n    File x\n",
        ),
        (
            "read -r line; echo 'Fatal Python error' >&2; kill -9 $$",
            "",
            "concord: PyTorch's process ended before it answered (signal: 9 (SIGKILL))\nits last \
             lines:\n  Fatal Python error\n",
        ),
        (
            "read -r line; exec sleep 600",
            "--patience 1",
            "concord: PyTorch's process said nothing for 1 s and was ended: give it more with \
             --patience, or fewer passages\n",
        ),
        (
            "read -r line; say '{\"id\": 1, \"ok\": {}}'; read -r line",
            "",
            "concord: cannot read .run.building/store/agent/manifest.json: No such file or directory (os \
             error 2)\n",
        ),
    ] {
        let err = record(script, options);
        let last = err.find("concord: ").map_or("", |at| &err[at..]);
        assert_eq!(last.replace(place.path("").to_str().unwrap(), ""), said);
    }
}

#[test]
fn a_run_of_other_passages_is_not_taken_for_the_one_asked_for() {
    let place = place();
    environment(&place, "2.4.1", ANSWER);
    let nine = INPUTS.replace("--passages 8", "--passages 9");
    let ended = run(&place, &format!("record torch==2.4.1 --out run {nine}")).with_code(2);
    let last = ended.err.lines().last().unwrap();
    assert!(
        last.contains("another collection than it was given"),
        "{last}"
    );
    assert!(!place.path("run").exists());
}

/// Waits until it is so.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn pytorchs_process_does_not_outlive_a_killed_command() {
    let place = place();
    let folder = environment(
        &place,
        "2.4.1",
        "trap '' TERM HUP\necho $$ > \"$here/number.part\"\nmv \"$here/number.part\" \"$here/number\"\n\
         exec sleep 600",
    );
    // What a killed program leaves in the folder for temporary files is the test's to remove.
    fs::create_dir(place.path("tmp")).unwrap();
    let line = format!("record torch==2.4.1 --out run {INPUTS}");
    let mut concord = command(&place, &line)
        .env("TMPDIR", place.path("tmp"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it starts", || place.path("number").exists());
    let number = fs::read_to_string(place.path("number")).unwrap();
    let process = Path::new("/proc").join(number.trim());
    assert!(process.exists());
    concord.kill().unwrap();
    concord.wait().unwrap();
    wait_for("it ends", || !process.exists());
    assert!(!place.path("run").exists());
    // What is left is in nobody's way, and the environment is not in use any more.
    fs::remove_dir_all(folder).unwrap();
    environment(&place, "2.4.1", ANSWER);
    run(&place, &line).with_code(0);
    place.done("diff run native");
    run(&place, "env remove torch-2.4.1-bert").with_code(0);
}

#[test]
fn an_environment_that_is_used_is_not_removed() {
    let place = place();
    environment(
        &place,
        "2.4.1",
        &format!(
            "touch \"$here/started\"\nwhile [ ! -e \"$here/go\" ]; do sleep 0.02; done\n{ANSWER}"
        ),
    );
    let line = format!("record torch==2.4.1 --out run {INPUTS}");
    let mut concord = command(&place, &line)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it starts", || place.path("started").exists());
    run(&place, "env remove torch-2.4.1-bert").refused(&["torch-2.4.1-bert is in use"]);
    fs::write(place.path("go"), "").unwrap();
    assert!(concord.wait().unwrap().success());
    run(&place, "env remove torch-2.4.1-bert").with_code(0);
}

#[test]
fn torch_subjects_and_native_ones_make_a_matrix_together() {
    let place = place();
    for version in ["2.4.0", "2.4.1"] {
        environment(&place, version, ANSWER);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let published = json!({
        "asked_at": now.as_secs(),
        "python": "3.11",
        "versions": ["2.3.1", "2.4.0", "2.4.1", "2.5.0"],
    });
    let folder = place.path(ENVIRONMENTS);
    fs::write(folder.join("published.json"), published.to_string()).unwrap();
    let line =
        format!("matrix torch==2.4.0..2.4.9 native native,gelu=tanh --low-disk --out out {INPUTS}");
    let ended = run(&place, &line).with_code(1);
    let lines: Vec<&str> = ended.out.lines().collect();
    let begins = |row: usize| -> Vec<&str> { lines[row].split_whitespace().take(3).collect() };
    let (old, new) = ("torch==2.4.0,engine=bert", "torch==2.4.1,engine=bert");
    assert_eq!(begins(1), [old, new, "yes"]);
    assert_eq!(begins(2), [new, "native", "yes"]);
    assert_eq!(begins(3), ["native", "native,gelu=tanh", "no"]);
    // Environments that were there before stay.
    assert_eq!(
        folder::names(&folder),
        ["published.json", "torch-2.4.0-bert", "torch-2.4.1-bert"]
    );
    // A second call needs neither the environments nor uv.
    for version in ["2.4.0", "2.4.1"] {
        run(&place, &format!("env remove torch-{version}-bert")).with_code(0);
    }
    let again = run(&place, &line).with_code(1);
    assert_eq!(again.out, ended.out);
}

#[test]
fn what_an_engine_cannot_do_is_said_before_an_environment_is_made() {
    let place = Workplace::new();
    let swap = golden::folder().join("torch-1.13.1/index/centroids.pt");
    for (subject, option, said) in [
        (
            "torch==2.4.1,engine=colbert",
            "--seed 7",
            "--seed is for `native`",
        ),
        (
            "torch==2.4.1,engine=colbert,pad=list",
            "",
            "pad= is for engine=bert",
        ),
        (
            "torch==2.4.1,engine=colbert",
            &format!("--swap centroids={}", swap.display()),
            "takes no --swap",
        ),
        ("torch==2.4.1", "--swap centroid=x.pt", "`centroid`"),
        ("torch==2.4.1", "--swap centroids=x.pt", "No such file"),
    ] {
        let line = format!("record {subject} {option} --out run {INPUTS}");
        run(&place, &line).refused(&[said]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn an_embedded_checkpoint_is_written_for_torch_and_gone_afterwards() {
    let place = Workplace::new();
    environment(
        &place,
        "2.4.1",
        "read -r line; say \"$line\" > \"$here/request\"\n\
         ls \"$(printf '%s' \"$line\" | sed 's/.*\"checkpoint\":\"\\([^\"]*\\)\".*/\\1/')\" > \"$here/files\"\n\
         say '{\"id\": 1, \"error\": {\"message\": \"enough\", \"traceback\": null}}'; read -r line",
    );
    run(&place, "record torch==2.4.1 --passages 2 --out run").refused(&["enough"]);
    let files = fs::read_to_string(place.path("files")).unwrap();
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        assert!(files.lines().any(|line| line == name), "{name}: {files}");
    }
    let request = json_of(&place.path("request"));
    let folder = Path::new(request["checkpoint"].as_str().unwrap());
    assert!(folder.is_absolute() && !folder.exists());
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_run() {
    let place = Workplace::new();
    for command in ["explain", "diff"] {
        for (subject, said) in [
            ("torch==2.1.0,attention=sdpa", "torch 2.1.1 or later"),
            (
                "torch==2.8.0,attention=sdpa,transformers==4.38.2",
                "write transformers==4.48.3",
            ),
            ("torch==2.1.0,transformers==4.57.6", "takes 2.2.0 or later"),
            ("torch==2.8.0,engine=colbert,dropout=on", "engine=bert"),
        ] {
            run(&place, &format!("{command} native {subject} {INPUTS}")).refused(&[said]);
        }
    }
}

/// Hands out the run `encoded` the first time, and then the run `other`.
const RANDOM: &str = r#"
part() { printf '%s' "$line" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
read -r line
say "$line" >> "$here/requests"
if test -e "$here/asked"; then cp -r "$here/other" "$(part out)"; else cp -r "$here/encoded" "$(part out)"; fi
: > "$here/asked"
say '{"id": 1, "ok": {}}'
read -r line"#;

#[test]
fn a_subject_that_does_not_repeat_itself_is_watched_once_more() {
    let place = place();
    let moved = "bert.encoder.layer.0.attention.self";
    encoded_of(
        &place,
        &format!("native,{moved}.key:gemm=split-k:4"),
        "other",
    );
    environment(&place, "2.4.1", RANDOM);
    let explain = format!("explain native torch==2.4.1 --no-referee --json {INPUTS}");
    let found: Value = serde_json::from_str(&run(&place, &explain).with_code(0).out).unwrap();
    let unstable: Vec<&str> = found["unstable"][1]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let first = unstable.iter().find(|name| name.starts_with("bert."));
    assert_eq!(first, Some(&format!("{moved}.key").as_str()));
    assert!(unstable.contains(&"embs"));
    assert_eq!(found["unstable"][0], json!([]));
    let requests = fs::read_to_string(place.path("requests")).unwrap();
    let taps = requests.lines().map(|line| {
        let request: Value = serde_json::from_str(line).unwrap();
        request["taps"].clone()
    });
    let watched = json!(["*"]);
    assert_eq!(
        taps.collect::<Vec<_>>(),
        [watched.clone(), json!([]), watched]
    );
}
