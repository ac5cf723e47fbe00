//! Options that would have no effect are refused, not ignored.

use std::fs;

use crate::program::Workplace;

const ON: &str = "--checkpoint CHECKPOINT --collection COLLECTION";

#[test]
fn an_option_that_needs_another_is_refused_without_it() {
    let place = Workplace::new();
    place
        .run("verify index --checkpoint CHECKPOINT")
        .not_understood(&["--rebuild"]);
    for option in ["--batch 7", "--threads 1", "--isa scalar"] {
        place
            .run(&format!("verify index {option}"))
            .refused(&[option, "no effect", "--rebuild"]);
    }
    place
        .run(&format!("record native {ON} --out run --tap-seed 3"))
        .not_understood(&["--tap-passages"]);
    place
        .run(&format!("record native {ON} --out run --tap-passages 3"))
        .refused(&["--taps"]);
    place
        .run(&format!("record native {ON} --out run --keep taps"))
        .refused(&["--keep taps", "--taps '*'"]);
    place
        .run(&format!("record native {ON} --out run --patience 9"))
        .refused(&["--patience 9", "no subject is a PyTorch one"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_size_that_an_operation_does_not_have_is_refused() {
    let place = Workplace::new();
    for (op, option) in [
        ("gelu", "--m 3"),
        ("gelu", "--width 3"),
        ("linear", "--width 3"),
        ("sum", "--n 3"),
        ("layer-norm", "--k 3"),
    ] {
        place
            .run(&format!("reveal native --op {op} {option}"))
            .refused(&[option, op, "no such size"]);
    }
}

#[test]
fn one_artifact_is_swapped_once() {
    let place = Workplace::new();
    for command in [
        "index COLLECTION --checkpoint CHECKPOINT --out out",
        &format!("record native {ON} --out out"),
    ] {
        place
            .run(&format!(
                "{command} --swap centroids=a.pt --swap embs=c.pt --swap centroids=b.pt"
            ))
            .refused(&["--swap centroids", "more than once"]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn what_runs_subjects_is_refused_where_all_are_recorded() {
    let place = Workplace::new();
    for name in ["a", "b"] {
        place.done(&format!("record native {ON} --out {name}"));
    }
    for option in [
        "--nbits 2",
        "--passages 3",
        "--checkpoint CHECKPOINT",
        "--swap embs=a",
        "--threads 1",
        "--once",
        "--no-referee",
        "--reproducers folder",
    ] {
        let name = option.split(' ').next().unwrap();
        place
            .run(&format!("explain a b {option}"))
            .refused(&[name, "no effect", "recorded"]);
    }
    place
        .run("matrix a b --out matrix --seed 3")
        .refused(&["--seed 3", "recorded"]);
    place
        .run("matrix a b --out matrix --engine bert")
        .refused(&["--engine bert", "PyTorch"]);
    place
        .run("matrix a b --out matrix --low-disk")
        .refused(&["--low-disk", "PyTorch"]);
    assert_eq!(place.names(), ["a", "b"]);
}

#[test]
fn a_folder_that_is_there_is_refused_before_anything_is_run() {
    let place = Workplace::new();
    place.file("x.txt", "mine");
    fs::create_dir(place.path("there")).unwrap();
    fs::write(place.path("there/mine"), "").unwrap();
    for folder in ["there", "x.txt", "x.txt/below"] {
        place
            .run(&format!(
                "explain native native,gemm=split-k:4 {ON} --reproducers {folder}"
            ))
            .refused(&["--reproducers", folder]);
        place
            .run(&format!(
                "matrix native native,gemm=split-k:4 {ON} --out {folder}"
            ))
            .refused(&[folder]);
        place
            .run(&format!("demo --keep {folder}"))
            .refused(&[folder]);
    }
    place
        .run(&format!(
            "matrix native native,gemm=split-k:4 {ON} --out x.txt"
        ))
        .refused(&["x.txt is a file", "choose another --out"]);
    assert_eq!(place.names(), ["there", "x.txt"]);
}

#[test]
fn two_precisions_of_one_subject_are_refused() {
    let place = Workplace::new();
    for line in [
        "index COLLECTION --checkpoint CHECKPOINT --out out --subject native,precision=bf16 --precision f16".to_owned(),
        format!("record native,precision=int8 {ON} --out out --precision f32"),
        format!("diff native,precision=bf16 native {ON} --precision int8"),
    ] {
        place.run(&line).refused(&["--precision", "contradicts precision="]);
    }
    assert!(place.names().is_empty());
}
