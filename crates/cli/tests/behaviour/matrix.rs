//! Many subjects, each compared with the next.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use concord_pipeline::{ArtifactEvent, Capture, Observer, RunManifest, RunWriter, Value};
use concord_tensor::Tensor;
use serde_json::Value as Json;

use crate::folder;
use crate::golden::{self, TORCH};
use crate::program::{Ended, Workplace};

const INPUTS: &str = "--checkpoint CHECKPOINT --collection COLLECTION --passages 8 --out out";

fn matrix(place: &Workplace, subjects: &str) -> Ended {
    place.run(&format!("matrix {subjects} {INPUTS}"))
}

fn json(ended: &Ended) -> Json {
    serde_json::from_str(&ended.out).unwrap()
}

/// The subjects that were recorded, in order.
fn recorded(ended: &Ended) -> Vec<&str> {
    let lines = ended.err.lines();
    lines
        .filter_map(|line| line.strip_prefix("recording "))
        .collect()
}

/// When each file in a folder was last written.
fn times(folder: &Path) -> BTreeMap<String, SystemTime> {
    let time = |name: &String| fs::metadata(folder.join(name)).unwrap().modified().unwrap();
    let files = folder::files(folder).into_keys();
    files.map(|name| (name.clone(), time(&name))).collect()
}

#[test]
fn each_subject_is_compared_with_the_next() {
    let place = Workplace::new();
    let ended = matrix(
        &place,
        "native native,batch=3 native,gemm=split-k:4 native,gemm=split-k:4,gelu=tanh",
    )
    .with_code(1);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 6, "{}", ended.out);
    let cells = |row: usize| -> Vec<&str> { lines[row].split_whitespace().collect() };
    assert_eq!(cells(1)[..3], ["native", "native,batch=3", "yes"]);
    assert_eq!(
        cells(2)[..3],
        ["native,batch=3", "native,gemm=split-k:4", "no"]
    );
    assert!(lines[2].contains("batches"), "{}", lines[2]);
    assert!(lines[2].contains(" (8 of 8)"), "{}", lines[2]);
    assert!(
        lines[3].contains("intermediate_act_fn (8 of 8)"),
        "{}",
        lines[3]
    );
    assert_eq!(
        lines[5],
        "2 of 3 pairs differ: native,batch=3 to native,gemm=split-k:4, native,gemm=split-k:4 to \
         native,gemm=split-k:4,gelu=tanh."
    );
    assert_eq!(place.names(), ["out"]);
    let names = folder::names(&place.path("out"));
    assert_eq!(
        names[..4],
        ["common.json", "matrix.json", "native", "native,batch=3"]
    );
    // Characters that not every system takes in names are left out, and a hash tells such words apart.
    for (name, begins) in names[4..]
        .iter()
        .zip(["native,gemm=split-k4,gelu=tanh-", "native,gemm=split-k4-"])
    {
        assert!(name.starts_with(begins), "{name}");
    }
    assert_eq!(names.len(), 6);
}

#[test]
fn subjects_that_are_all_the_same_end_with_0() {
    let place = Workplace::new();
    let ended = matrix(&place, "native native,batch=3 native,batch=5").with_code(0);
    let last = ended.out.lines().last().unwrap();
    assert_eq!(last, "All 2 pairs are the same, bit for bit.");
}

#[test]
fn the_json_says_what_the_table_says_and_is_kept() {
    let place = Workplace::new();
    let subjects = "native native,batch=3 native,gelu=tanh";
    let found = json(&matrix(&place, &format!("{subjects} --json")).with_code(1));
    let kept = fs::read(place.path("out/matrix.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&kept).unwrap(), found);
    assert_eq!(found["found"], Json::Null);
    let [same, different] = &found["pairs"].as_array().unwrap()[..] else {
        panic!("{found}");
    };
    assert_eq!(same["verdict"]["answer"], "same");
    assert_eq!(same["a"], "native");
    assert_eq!(same["b"], "native,batch=3");
    assert_eq!(same["first_artifact"], Json::Null);
    assert_eq!(same["first_tap"], Json::Null);
    let counts = &same["artifacts"];
    assert!(counts["compared"].as_u64().unwrap() >= 17, "{counts}");
    for count in ["same_shape", "same_bits", "close"] {
        assert_eq!(counts[count], counts["compared"], "{count}");
    }
    assert!(same["taps"]["compared"].as_u64().unwrap() > 30, "{same}");
    assert_eq!(same["taps"]["different"], 0);

    assert_eq!(different["verdict"]["answer"], "different");
    assert_eq!(different["first_artifact"], "batches");
    let tap = &different["first_tap"];
    assert_eq!(
        tap["module"],
        "bert.encoder.layer.0.intermediate.intermediate_act_fn"
    );
    assert_eq!((&tap["passages"], &tap["of"]), (&8.into(), &8.into()));
    let distance = different["embeddings_max_abs"].as_f64().unwrap();
    assert!(distance > 0.0 && distance < 1.0, "{distance}");
    assert!(different["inputs_differ"].as_array().unwrap().is_empty());
    let option = &different["options_differ"][0];
    assert_eq!(option["name"], "numerics");
    assert_eq!(option["b"], r#"["gelu=tanh"]"#);
}

#[test]
fn what_is_recorded_already_is_not_recorded_again() {
    let place = Workplace::new();
    let subjects = "native native,batch=3 native,gelu=tanh";
    let first = matrix(&place, subjects).with_code(1);
    assert_eq!(
        recorded(&first),
        ["native", "native,batch=3", "native,gelu=tanh"]
    );
    let before = times(&place.path("out"));
    let second = matrix(&place, subjects).with_code(1);
    assert_eq!(recorded(&second), [""; 0]);
    assert_eq!(second.out, first.out);
    let mut after = times(&place.path("out"));
    // The result is written anew, the runs and what they have in common are not.
    assert!(after.remove("matrix.json").is_some());
    for (name, time) in &after {
        assert_eq!(before[name], *time, "{name}");
    }
    assert_eq!(after.len() + 1, before.len());

    // One that was interrupted records what is not there; one with more subjects, what is new.
    fs::remove_dir_all(place.path("out/native,batch=3")).unwrap();
    let third = matrix(&place, &format!("{subjects} native,gemm=split-k:4")).with_code(1);
    assert_eq!(
        recorded(&third),
        ["native,batch=3", "native,gemm=split-k:4"]
    );
    assert!(third.out.contains("2 of 3 pairs differ"), "{}", third.out);
}

#[test]
fn threads_and_instruction_sets_are_run_and_not_taken_to_be_the_same() {
    let place = Workplace::new();
    let ended = matrix(
        &place,
        "native native,threads=1,isa=scalar native,threads=2",
    )
    .with_code(0);
    assert_eq!(
        recorded(&ended),
        ["native", "native,threads=1,isa=scalar", "native,threads=2"]
    );
}

#[test]
fn runs_of_something_else_are_not_mixed_with_these() {
    let place = Workplace::new();
    matrix(&place, "native native,batch=3").with_code(0);
    let before = folder::files(&place.path("out"));
    for options in [
        "--checkpoint CHECKPOINT --collection COLLECTION --passages 9",
        "--checkpoint CHECKPOINT --passages 8",
        "--collection COLLECTION --passages 8",
        "--checkpoint CHECKPOINT --collection COLLECTION --passages 8 --nbits 4",
        "--checkpoint CHECKPOINT --collection COLLECTION --passages 8 --seed 7",
        "--checkpoint CHECKPOINT --collection COLLECTION --passages 8 --batch 5",
    ] {
        place
            .run(&format!(
                "matrix native native,gelu=tanh --out out {options}"
            ))
            .refused(&["out holds runs on other inputs", "another --out"]);
    }
    folder::assert_same(&before, &folder::files(&place.path("out")), "a refusal");
    fs::write(place.path("out/common.json"), "{}").unwrap();
    matrix(&place, "native native,batch=3").refused(&["out holds runs on other inputs"]);
}

#[test]
fn another_tensor_to_swap_in_is_something_else_wherever_it_lies() {
    let place = Workplace::new();
    let [old, new] = TORCH.map(|torch| golden::folder().join(torch).join("index/centroids.pt"));
    let matrix = || {
        place.run(
            "matrix native native,batch=7 --checkpoint CHECKPOINT --collection COLLECTION --swap \
             centroids=swap.pt --out out",
        )
    };
    fs::copy(old, place.path("swap.pt")).unwrap();
    matrix().with_code(0);
    fs::copy(new, place.path("swap.pt")).unwrap();
    matrix().refused(&["out holds runs on other inputs", "another --out"]);
}

#[test]
fn settings_that_do_not_go_together_leave_no_folder() {
    for subjects in [
        "native native,gelu=tanh --nbits 0",
        "native,nbits=3 native",
        "native native,doc_maxlen=1",
    ] {
        let place = Workplace::new();
        matrix(&place, subjects).with_code(2);
        assert!(!place.path("out").exists(), "{subjects}");
    }
}

#[test]
fn a_folder_with_something_else_is_refused_and_left() {
    let place = Workplace::new();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out/thesis.tex"), "…").unwrap();
    matrix(&place, "native native,batch=3").refused(&["out holds something else", "another --out"]);
    assert_eq!(folder::names(&place.path("out")), ["thesis.tex"]);
    // An empty one is as good as none.
    fs::remove_file(place.path("out/thesis.tex")).unwrap();
    matrix(&place, "native native,batch=3").with_code(0);
}

#[test]
fn two_neighbours_that_differ_are_found_by_halving() {
    let place = Workplace::new();
    let subjects = "native native,batch=2 native,batch=3 native,batch=4 native,gelu=tanh \
                    native,gelu=tanh,batch=2 native,gelu=tanh,batch=3 native,gelu=tanh,batch=5";
    let ended = matrix(&place, &format!("{subjects} --until-different")).with_code(1);
    assert_eq!(
        ended.out.lines().last().unwrap(),
        "native,batch=4 and native,gelu=tanh are two neighbours that differ, first \
         in `batches`; inside the encoder, first \
         `bert.encoder.layer.0.intermediate.intermediate_act_fn`, for 8 of 8 passages."
    );
    // The ends, and those in the middle of what was left.
    assert_eq!(
        recorded(&ended),
        [
            "native",
            "native,batch=5,gelu=tanh",
            "native,batch=4",
            "native,batch=2,gelu=tanh",
            "native,gelu=tanh"
        ]
    );
    let found = json(&matrix(&place, &format!("{subjects} --until-different --json")).with_code(1));
    assert_eq!(found["found"]["a"], "native,batch=4");
    assert_eq!(found["found"]["b"], "native,gelu=tanh");
    assert_eq!(found["pairs"].as_array().unwrap().len(), 4, "{found}");
}

#[test]
fn halving_between_equal_ends_says_that_there_is_nothing_to_find() {
    let place = Workplace::new();
    let ended = matrix(
        &place,
        "native native,gelu=tanh native,batch=3 --until-different",
    )
    .with_code(0);
    assert_eq!(
        ended.out.lines().last().unwrap(),
        "native and native,batch=3 are the same, bit for bit; what changes between them and changes back \
         is not searched for."
    );
    assert_eq!(recorded(&ended), ["native", "native,batch=3"]);
}

#[test]
fn what_makes_no_matrix_is_refused_before_anything_is_made() {
    let place = Workplace::new();
    for (subjects, said) in [
        ("native", ["only native", "torch==2.0.1..2.2.0"]),
        ("native natve", ["`natve`", "native"]),
        ("native native,gemm=foo", ["`foo`", "split-k:N"]),
        ("native torch==2.4.1,amp=f8", ["`f8`", "none, fp16, bf16"]),
        (
            "native torch==2.2.0..2.0.1",
            ["2.2.0..2.0.1", "older version first"],
        ),
        ("native torch==2.0.1..", ["``", "three numbers"]),
        ("torch==2.0.1..2.2.0,speed=9", ["`speed=9`", "engine="]),
    ] {
        matrix(&place, subjects).refused(&said);
    }
    matrix(&place, "native native,batch=3 --engine tf").not_understood(&["'tf'", "bert, colbert"]);
    place
        .run("matrix native native,batch=3")
        .not_understood(&["--out"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_recorded_run_takes_part_as_it_is() {
    let place = Workplace::new();
    place.done(&format!(
        "record native,gelu=tanh --taps * {}",
        INPUTS.replace("--out out", "--out run")
    ));
    let before = times(&place.path("run"));
    let ended = matrix(&place, "native run native,gelu=tanh").with_code(1);
    assert!(ended.out.contains("1 of 2 pairs differ"), "{}", ended.out);
    assert_eq!(recorded(&ended), ["native", "native,gelu=tanh"]);
    assert_eq!(times(&place.path("run")), before);
    let names = folder::names(&place.path("out"));
    assert!(!names.contains(&"run".to_owned()), "{names:?}");
}

/// A run of `codes`, cut into these chunks, of which it kept hashes alone.
fn hashes_of(place: &Workplace, name: &str, chunks: &[&[i32]]) {
    let writer = RunWriter::create(&place.path(name), Capture::default()).unwrap();
    for (chunk, codes) in chunks.iter().enumerate() {
        let value = Value::from(Tensor::vector(codes.to_vec()));
        let event = ArtifactEvent {
            artifact: "codes".to_owned(),
            chunk,
            made_from: None,
            record: value.record(),
        };
        writer.artifact(&event, None).unwrap();
    }
    let manifest = RunManifest::new(name.to_owned(), None, BTreeMap::new(), BTreeMap::new());
    writer.finish(&manifest).unwrap();
}

#[test]
fn runs_that_kept_too_little_are_neither_the_same_nor_different() {
    let place = Workplace::new();
    hashes_of(&place, "a", &[&[1, 2]]);
    hashes_of(&place, "b", &[&[1], &[2]]);
    hashes_of(&place, "c", &[&[1], &[3]]);
    let ended = matrix(&place, "a b").with_code(2);
    assert_eq!(
        ended.out.lines().last().unwrap(),
        "1 of 1 pairs kept too little to tell: a to b."
    );
    let last = ended.err.lines().last().unwrap();
    assert!(
        last.starts_with("concord: ") && last.contains("not enough to tell"),
        "{last}"
    );
    // A difference is an answer, whatever else is open.
    let ended = matrix(&place, "a b c").with_code(1);
    assert!(ended.out.ends_with(
        "1 of 2 pairs differ: b to c.\n1 of 2 pairs kept too little to tell: a to b.\n"
    ));
    let last = matrix(&place, "a b --until-different").with_code(2).err;
    assert!(
        last.contains("not enough to tell whether a and b are the same"),
        "{last}"
    );
}
