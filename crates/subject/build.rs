//! Puts the agent together: the modules in `python/concord_agent` become the one file that travels.
//!
//! What a module imports from the others it finds above itself in the file, so those imports are left out; what
//! it imports from elsewhere stands once at the top. A module can use only those before it in [`PARTS`].

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

const FOLDER: &str = "../../python/concord_agent";

/// The modules, each after those that it uses.
const PARTS: [&str; 24] = [
    "libraries",
    "errors",
    "bits",
    "masks",
    "runs",
    "architectures",
    "modules",
    "settings",
    "passages",
    "checkpoint",
    "patches",
    "model",
    "taps",
    "forcing",
    "options",
    "encoding",
    "indexing",
    "recording",
    "replay",
    "probing",
    "operations",
    "serving",
    "command_line",
    "__main__",
];

/// Width of a heading.
const WIDTH: usize = 99;

fn main() -> Result<(), String> {
    // Not the folder, in which Python leaves compiled files; `check_folder` says when a module is not listed.
    for name in PARTS.iter().chain(&["__init__"]) {
        println!("cargo::rerun-if-changed={FOLDER}/{name}.py");
    }
    check_folder()?;
    let about = split_docstring(&read("__init__")?)?.0;
    let mut imports = BTreeSet::new();
    let mut body = String::new();
    for (place, name) in PARTS.iter().enumerate() {
        let (title, code) = split_docstring(&read(name)?)?;
        let code = without_imports(name, &code, &PARTS[..place], &mut imports)?;
        let heading = format!("# --- {name}.py ");
        let _ = write!(body, "\n\n{heading:-<WIDTH$}\n#\n");
        for line in title.lines() {
            let _ = writeln!(body, "{}", format!("# {line}").trim_end());
        }
        let _ = write!(body, "\n\n{}\n", code.trim());
    }
    // `import …` comes before `from … import …`.
    let (from, plain): (Vec<&String>, Vec<&String>) =
        imports.iter().partition(|line| line.starts_with("from "));
    let mut program = format!(
        "#!/usr/bin/env python3\n\"\"\"{about}\n\nConcord makes this file of the modules in \
         python/concord_agent. Change it there.\n\"\"\"\n\n"
    );
    for line in plain.into_iter().chain(from) {
        let _ = writeln!(program, "{line}");
    }
    program.push_str(&body);
    let out = env::var("OUT_DIR").map_err(|error| format!("OUT_DIR: {error}"))?;
    let out = Path::new(&out).join("concord_agent.py");
    fs::write(&out, program).map_err(|error| format!("{}: {error}", out.display()))
}

/// That every module in the folder is a part.
fn check_folder() -> Result<(), String> {
    let wrong = |error| format!("{FOLDER}: {error}");
    for entry in fs::read_dir(FOLDER).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let name = name.to_string_lossy();
        let module = name.strip_suffix(".py");
        if module.is_some_and(|module| module != "__init__" && !PARTS.contains(&module)) {
            return Err(format!("{FOLDER}/{name} has no place in PARTS"));
        }
    }
    Ok(())
}

fn read(module: &str) -> Result<String, String> {
    let path = format!("{FOLDER}/{module}.py");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(text.replace("\r\n", "\n"))
}

/// The docstring that a module begins with, and the rest.
fn split_docstring(text: &str) -> Result<(String, String), String> {
    let parts = text
        .strip_prefix("\"\"\"")
        .and_then(|rest| rest.split_once("\"\"\"\n"));
    let (title, code) = parts.ok_or("a module begins with its docstring")?;
    Ok((title.trim_end().to_owned(), code.to_owned()))
}

/// The code without its imports at the margin. Those of other than `earlier` modules are added to `imports`.
fn without_imports(
    name: &str,
    code: &str,
    earlier: &[&str],
    imports: &mut BTreeSet<String>,
) -> Result<String, String> {
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if let Some(module) = line.strip_prefix("from .") {
            let module = module.split(' ').next().unwrap_or_default();
            if !earlier.contains(&module) {
                return Err(format!(
                    "{name}.py uses {module}.py, which has to stand before it"
                ));
            }
            if line.contains(" as ") {
                return Err(format!("{name}.py renames what it imports: {line}"));
            }
            if line.ends_with('(') {
                lines.by_ref().find(|line| *line == ")");
            }
        } else if line.starts_with("import ") || line.starts_with("from ") {
            imports.insert(line.to_owned());
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Ok(kept)
}
