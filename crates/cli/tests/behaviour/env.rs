//! Python environments: listing, making and removing them, without network.
#![cfg(unix)]

use std::fs;

use serde_json::Value;

use crate::folder;
use crate::program::Workplace;
use crate::python::{ENVIRONMENTS, environment, run};

#[test]
fn without_environments_one_is_told_how_one_is_made() {
    let place = Workplace::new();
    let ended = run(&place, "env list").with_code(0);
    let folder = place.path(ENVIRONMENTS);
    let expected = format!(
        "no environments in {}; `concord env add torch==2.4.1` makes one\n",
        folder.display()
    );
    assert_eq!(ended.out, expected);
    let ended = run(&place, "env list --json").with_code(0);
    let list: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(list["folder"], folder.to_str().unwrap());
    for kind in ["environments", "unfinished"] {
        assert_eq!(list[kind].as_array().unwrap().len(), 0, "{kind}");
    }
    assert!(place.names().is_empty(), "a list makes nothing");
}

#[test]
fn environments_are_listed_with_what_they_take_and_how_they_differ() {
    let place = Workplace::new();
    for version in ["2.10.0", "2.5.1"] {
        let folder = environment(&place, version, "exit 0");
        fs::write(folder.join("library.so"), vec![1; 3_000_000]).unwrap();
    }
    let left = place.path(ENVIRONMENTS).join(".torch-2.0.1-bert.building");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("half"), vec![1; 2_000_000]).unwrap();

    let ended = run(&place, "env list").with_code(0);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 6, "{}", ended.out);
    assert!(lines[1].starts_with("torch-2.5.1-bert "), "{}", lines[1]);
    assert!(
        lines[1].contains(" 3 MB ") && lines[1].contains(" now "),
        "{}",
        lines[1]
    );
    assert!(
        lines[1]
            .ends_with("sympy 1.13.1 instead of 1.14.0: PyTorch 2.5.0 to 2.6.0 accept no other"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("torch-2.10.0-bert "), "{}", lines[2]);
    assert!(lines[2].ends_with(" now"), "{}", lines[2]);
    assert!(
        lines[3].starts_with("torch-2.0.1-bert (unfinished) ") && lines[3].contains(" 2 MB"),
        "{}",
        lines[3]
    );
    assert!(lines[5].ends_with(ENVIRONMENTS), "{}", lines[5]);

    let ended = run(&place, "env list --json").with_code(0);
    let list: Value = serde_json::from_str(&ended.out).unwrap();
    let names = |kind: &str| -> Vec<String> {
        let kind = list[kind].as_array().unwrap().iter();
        kind.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names("environments"),
        ["torch-2.5.1-bert", "torch-2.10.0-bert"]
    );
    assert_eq!(names("unfinished"), ["torch-2.0.1-bert"]);
    let first = &list["environments"][0];
    assert!(first["bytes"].as_u64().unwrap() > 3_000_000, "{first}");
    assert_eq!(first["bytes"], first["freed_if_removed"]);
    assert_eq!(first["made_of"]["installed"][0], "torch==2.5.1");
}

#[test]
fn an_environment_is_removed_by_its_name_and_nothing_else_is() {
    let place = Workplace::new();
    for version in ["2.4.1", "2.5.1"] {
        let folder = environment(&place, version, "exit 0");
        fs::write(folder.join("library.so"), vec![1; 3_000_000]).unwrap();
    }
    let ended = run(&place, "env remove torch-2.4.1-bert").with_code(0);
    assert_eq!(ended.out, "torch-2.4.1-bert removed, 3 MB freed\n");
    let names = folder::names(&place.path(ENVIRONMENTS));
    assert_eq!(names, ["torch-2.5.1-bert"]);
    for name in [
        "torch-2.4.1-bert",
        "../../home",
        ".",
        "torch-2.5.1-bert/bin",
    ] {
        run(&place, &format!("env remove {name}")).refused(&[
            &format!("there is no environment `{name}`"),
            "there are torch-2.5.1-bert",
        ]);
    }
    run(&place, "env remove torch-2.5.1-bert").with_code(0);
    run(&place, "env remove torch-2.5.1-bert").refused(&[
        "there is no environment `torch-2.5.1-bert`",
        "there are none yet",
    ]);
    run(&place, "env remove").not_understood(&["<NAMES>"]);
}

#[test]
fn what_stays_in_uvs_cache_is_told_with_how_to_free_it() {
    let place = Workplace::new();
    let library = environment(&place, "2.4.1", "exit 0").join("library.so");
    fs::write(&library, vec![1; 3_000_000]).unwrap();
    fs::hard_link(&library, place.path("cached.so")).unwrap();
    let ended = run(&place, "env list").with_code(0);
    assert!(ended.out.contains("`uv cache clean`"), "{}", ended.out);
    let ended = run(&place, "env remove torch-2.4.1-bert").with_code(0);
    let said = "torch-2.4.1-bert removed, 0 MB freed; 3 MB of it stay in uv's cache until `uv cache clean`\n";
    assert_eq!(ended.out, said);
}

#[test]
fn what_is_no_version_or_engine_is_answered_with_how_one_is_written() {
    let place = Workplace::new();
    for word in [
        "torch==2.4",
        "2.4",
        "torch=2.4.1",
        "native",
        "torch==2.4.1,batch=8",
    ] {
        run(&place, &format!("env add {word}"))
            .refused(&["is no version of PyTorch", "three numbers, as in 2.4.1"]);
    }
    run(&place, "env add torch==2.0.1..2.2.0").refused(&["is no version of PyTorch"]);
    run(&place, "env add torch==2.4.1 --engine tf").not_understood(&["'tf'", "bert, colbert"]);
    assert!(place.names().is_empty());
}

#[test]
fn without_uv_whatever_needs_an_environment_says_how_to_get_it() {
    let place = Workplace::new();
    for line in [
        "env add torch==2.4.1",
        "env add 2.4.1 --engine colbert --low-disk",
        "record torch==2.4.1 --checkpoint CHECKPOINT --collection COLLECTION --out run",
        "diff torch==2.4.1 native --checkpoint CHECKPOINT --collection COLLECTION",
        "matrix torch==2.0.1..2.2.0 --checkpoint CHECKPOINT --collection COLLECTION --out matrix",
    ] {
        let ended = run(&place, line).with_code(2);
        assert_eq!(ended.out, "", "{line}");
        let last = ended.err.lines().last().unwrap();
        assert_eq!(
            last,
            "concord: environments are made with uv, which is not here: install it with `pip install \
             uv`, or put it on PATH",
            "{line}"
        );
    }
    let left = folder::files(&place.path(""));
    assert!(left.is_empty(), "{:?}", left.keys());
    assert!(!place.path("run").exists() && !place.path("matrix").exists());
}

#[test]
fn an_environment_that_is_there_needs_no_uv() {
    let place = Workplace::new();
    environment(&place, "2.5.1", "exit 0");
    let ended = run(&place, "env add torch==2.5.1").with_code(0);
    let folder = place.path(ENVIRONMENTS);
    assert_eq!(
        ended.out,
        format!(
            "torch-2.5.1-bert: ready in {}\n  sympy 1.13.1 instead of 1.14.0: PyTorch 2.5.0 to 2.6.0 \
             accept no other\n",
            folder.display()
        )
    );
}
