//! The agent's one file: what it is made of, and that Python can read it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use concord_model::architecture::head::HEAD;
use concord_model::architecture::{Input, Row, TABLES};
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_subject::agent::PROGRAM;
use concord_subject::python::Engine;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/concord_agent")
}

/// The tables as a module of Python.
fn tables() -> String {
    let mut text = String::from(
        "\"\"\"The modules of each architecture: path, operation, what is read, whether it can be cut out.\n\n\
         Concord writes this file out of its own table, crates/model/src/architecture:\n\
         CONCORD_WRITE=1 cargo test -p concord-subject --test agent_program\n\"\"\"\n\n\
         ARCHITECTURES = {\n",
    );
    for table in TABLES {
        let _ = write!(
            text,
            "    \"{}\": {{\n        \"layer\": \"{}\",\n",
            table.name, table.layer
        );
        for (part, rows) in [
            ("before", table.before),
            ("in_layer", table.in_layer),
            ("after", table.after),
            ("head", HEAD),
        ] {
            let _ = writeln!(text, "        \"{part}\": [");
            for row in rows {
                let _ = writeln!(text, "            {},", tuple(row));
            }
            text.push_str("        ],\n");
        }
        text.push_str("    },\n");
    }
    text.push_str("}\n");
    text
}

/// A row as a tuple of Python. What is read without a path is `None`.
fn tuple(row: &Row) -> String {
    let operation = match row.operation {
        None => "None".to_owned(),
        Some(operation) => serde_json::to_string(&operation).unwrap(),
    };
    let read = |input: &Input| match input {
        Input::States => "None".to_owned(),
        Input::Of(path) => format!("\"{path}\""),
    };
    let reads: Vec<String> = row.reads.iter().map(read).collect();
    let removable = if row.removable { "True" } else { "False" };
    format!(
        "(\"{}\", {operation}, [{}], {removable})",
        row.path,
        reads.join(", ")
    )
}

#[test]
fn the_agent_carries_the_tables_of_the_model() {
    let path = folder().join("architectures.py");
    if std::env::var_os("CONCORD_WRITE").is_some() {
        fs::write(&path, tables()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert_eq!(found, tables(), "its docstring says how it is written anew");
    let (_, carried) = found.split_once("ARCHITECTURES").unwrap();
    assert!(PROGRAM.contains(carried.trim_end()));
}

#[test]
fn every_module_of_the_agent_is_in_its_file_once() {
    let headings: Vec<&str> = PROGRAM
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# --- ")?.split(' ').next().unwrap()))
        .collect();
    let mut parts: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".py") && name != "__init__.py")
        .collect();
    parts.sort();
    let mut found = headings.clone();
    found.sort_unstable();
    assert_eq!(found, parts);
    assert_eq!(headings.last(), Some(&"__main__.py"));
    assert!(!PROGRAM.lines().any(|line| line.starts_with("from .")));
    assert_eq!(PROGRAM.matches("\nimport json\n").count(), 1);
}

#[test]
fn the_agent_knows_every_engine_by_its_name() {
    let names = Engine::ALL.map(|engine| format!("\"{engine}\""));
    let tuple = format!("\nENGINES = ({})\n", names.join(", "));
    assert!(PROGRAM.contains(&tuple), "{tuple}");
}

#[test]
fn no_two_modules_of_the_agent_define_one_name() {
    let name = |line: &str| {
        let rest = line.strip_prefix("def ").or(line.strip_prefix("class "));
        let end = |c: char| !c.is_alphanumeric() && c != '_';
        let name = |text: &str| text[..text.find(end).unwrap_or(text.len())].to_owned();
        match (rest, line.split_once(" = ")) {
            (Some(rest), _) => Some(name(rest)),
            (None, Some((left, _))) if !left.contains(end) => Some(left.to_owned()),
            _ => None,
        }
    };
    let names: Vec<String> = PROGRAM.lines().filter_map(name).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert!(names.len() > 100);
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn python_reads_the_agents_file_and_it_gives_help_without_torch() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("concord_agent.py");
    fs::write(&file, PROGRAM).unwrap();
    let python = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command
            .args(arguments)
            .current_dir(place.path())
            .env("PYTHONPYCACHEPREFIX", place.path());
        command.output()
    };
    let Ok(compiled) = python(&["-m", "py_compile", "concord_agent.py"]) else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no python3");
        eprintln!("there is no python3 here: the agent's file is not compiled");
        return;
    };
    assert!(compiled.status.success(), "{compiled:?}");
    let oldest = "import ast; ast.parse(open('concord_agent.py').read(), feature_version=(3, 8))";
    let parsed = python(&["-c", oldest]).unwrap();
    assert!(parsed.status.success(), "{parsed:?}");
    // `-S` leaves installed packages out, and PyTorch with them.
    let help = python(&["-S", "concord_agent.py", "record", "--help"]).unwrap();
    assert!(help.status.success(), "{help:?}");
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(text.contains("--checkpoint-hash"), "{text}");
    let refused = python(&["-S", "concord_agent.py", "describe"]).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.starts_with("concord_agent: No module named"), "{said}");
}

/// Python's answer to a program, if there is a Python.
fn asked(program: &str) -> Option<String> {
    let mut command = Command::new("python3");
    let output = command.args(["-c", program]).output().ok()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn the_agent_hashes_the_files_of_a_checkpoint_as_concord_does() {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint");
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&original).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let mut hashes = BTreeSet::new();
    for changed in ["", "README.md", "vocab.txt", "config.json"] {
        if !changed.is_empty() {
            let path = copy.path().join(changed);
            let text = fs::read_to_string(&path).unwrap_or_default();
            fs::write(&path, text + "\n").unwrap();
        }
        let folder = copy.path().to_str().unwrap();
        let checkpoint = Checkpoint::load(folder, &HubOptions::new("")).unwrap();
        let hash = checkpoint.files_hash().unwrap().to_string();
        let program = format!(
            "import ast, hashlib, os\n\
             tree = ast.parse(open({:?}).read())\n\
             wanted = ('hash_text', 'checkpoint_files_hash')\n\
             tree.body = [n for n in tree.body if getattr(n, 'name', '') in wanted]\n\
             exec(compile(tree, 'agent', 'exec'))\n\
             print(checkpoint_files_hash({folder:?}))",
            agent_file(copy.path())
        );
        match asked(&program) {
            Some(found) => assert_eq!(found, hash, "{changed}"),
            None => assert!(std::env::var_os("CI").is_none(), "there is no python3"),
        }
        hashes.insert(hash);
    }
    // What nobody reads plays no part, and the others do.
    assert_eq!(hashes.len(), 3);
}

/// The agent in a file beside the folder.
fn agent_file(folder: &Path) -> PathBuf {
    let path = folder.with_extension("py");
    fs::write(&path, PROGRAM).unwrap();
    path
}

#[test]
fn the_agents_batch_is_what_concord_takes_it_for() {
    // `Torch::batch` of a subject that names none.
    assert!(PROGRAM.contains("\"batch\": 32,"));
}
