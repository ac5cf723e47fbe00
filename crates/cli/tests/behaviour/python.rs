//! Python environments without Python: scripts in its place, in a home of the test's own.

use std::process::Command;

use crate::program::{Ended, Workplace, words};

/// The folder of environments, from a workplace.
#[cfg(unix)]
pub const ENVIRONMENTS: &str = "home/environments";

/// A command in a workplace that has its own home, and finds neither uv nor Python.
pub fn command(place: &Workplace, line: &str) -> Command {
    let mut command = place.command(words(line));
    command
        .env("CONCORD_HOME", place.path("home"))
        .env("PATH", place.path("nothing-here"));
    command
}

/// Runs it.
pub fn run(place: &Workplace, line: &str) -> Ended {
    Ended::of(&mut command(place, line))
}

/// Puts an environment for that version of PyTorch and `engine=bert` into the home of `place`, with
/// `script` as its Python. `$here` is the workplace, and `say` prints a line as it is.
#[cfg(unix)]
pub fn environment(place: &Workplace, version: &str, script: &str) -> std::path::PathBuf {
    use concord_subject::python::{Engine, Recipe};

    environment_of(
        place,
        &Recipe::new(version.parse().unwrap(), Engine::Bert),
        script,
    )
}

/// The same for a recipe.
#[cfg(unix)]
pub fn environment_of(
    place: &Workplace,
    recipe: &concord_subject::python::Recipe,
    script: &str,
) -> std::path::PathBuf {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    let version = recipe.torch();
    let folder = place.path(ENVIRONMENTS).join(recipe.name());
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let here = place.path("");
    // The command's PATH has nothing on it, and its children inherit that.
    let text = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\nhere='{}'\nsay() {{ printf '%s\\n' \"$1\"; }}\n{script}\n",
        here.display()
    );
    let draft = bin.join("draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    // What this process has written cannot be run while another test starts a process, which for a moment
    // has it open for writing as well.
    let copied = Command::new("cp")
        .args([draft, bin.join("python")])
        .status();
    assert!(copied.unwrap().success());
    let finished = serde_json::json!({
        "torch": version,
        "engine": "bert",
        "python": "3.11.7",
        "uv": "uv 0.0.0",
        "cpu_wheels": true,
        "requirements": recipe.requirements(),
        "constraints": recipe.constraints(),
        "departures": recipe.departures(),
        "installed": [format!("torch=={version}")],
    });
    fs::write(folder.join("finished.json"), finished.to_string()).unwrap();
    fs::write(folder.join("last_used"), "").unwrap();
    folder
}
