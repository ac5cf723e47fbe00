//! Which versions of PyTorch the package index has.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use concord_pipeline::Scratch;
use concord_pipeline::publish::{write_json, writing};
use serde::{Deserialize, Serialize};

use super::error::{EnvironmentError, reading};
use super::recipe::PYTHON;
use super::uv::{Cause, Uv, cause};
use super::version::{OLDEST, TorchVersion};

/// How long an answer of the index is good for.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer of the index, as it is kept in a file.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// When it was given, in seconds of Unix time.
    asked_at: u64,
    python: String,
    versions: Vec<TorchVersion>,
}

/// The answer kept in `file`, if it is of today and can be read.
pub(super) fn kept(file: &Path) -> Option<Vec<TorchVersion>> {
    let answer: Answer = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let asked_at = UNIX_EPOCH.checked_add(Duration::from_secs(answer.asked_at))?;
    // An answer from the future, after the clock was put back, is not trusted.
    let age = SystemTime::now().duration_since(asked_at).ok()?;
    (age < KEPT_FOR && answer.python == PYTHON).then_some(answer.versions)
}

/// Keeps an answer in `file`.
pub(super) fn keep(file: &Path, versions: &[TorchVersion]) -> Result<(), EnvironmentError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let answer = Answer {
        asked_at: now.unwrap_or_default().as_secs(),
        python: PYTHON.to_owned(),
        versions: versions.to_vec(),
    };
    // Several processes may do this at once; each writes a file of its own first.
    write_json(file, &answer)?;
    Ok(())
}

/// Asks the index that `uv` is set up with for the final releases from [`OLDEST`] on that can be installed
/// here, sorted.
///
/// `uv` does not list versions, but it finds the newest one below a bound: that is asked again and again.
/// So the answer comes from where packages will come from.
pub(super) fn ask(uv: &Uv) -> Result<Vec<TorchVersion>, EnvironmentError> {
    let folder = Scratch::new().map_err(reading(Path::new("the temporary folder")))?;
    let file = folder.path().join("requirements.in");
    let mut versions = Vec::new();
    let mut below: Option<String> = None;
    loop {
        let bound = below
            .as_deref()
            .map_or_else(String::new, |version| format!(",<{version}"));
        fs::write(&file, format!("torch>={OLDEST}{bound}\n")).map_err(writing(&file))?;
        let arguments = [
            "pip",
            "compile",
            "requirements.in",
            "--quiet",
            "--no-deps",
            "--no-header",
            "--no-annotate",
            "--prerelease=disallow",
            "--only-binary=:all:",
            "--python-version",
            PYTHON,
        ];
        let finished = uv.run(folder.path(), arguments, None, &mut |_| ())?;
        let found = finished
            .output
            .lines()
            .find_map(|line| line.strip_prefix("torch=="))
            // `2.4.1+cpu` is a build of 2.4.1.
            .map(|version| version.split(['+', ' ']).next().unwrap_or(version));
        match found {
            Some(version) if finished.status.success() && below.as_deref() != Some(version) => {
                // What is not three numbers, such as a post-release, is passed over.
                let parsed: Option<TorchVersion> = version.parse().ok();
                versions.extend(parsed);
                below = Some(version.to_owned());
                if parsed == Some(OLDEST) {
                    break;
                }
            }
            _ if below.is_some() && cause(&finished) == Cause::NoSolution => break,
            _ => return Err(failure("the list of PyTorch's versions", &finished)),
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The error for a run of `uv` that came to nothing when `name` was made.
pub(super) fn failure(name: &str, finished: &crate::process::Finished) -> EnvironmentError {
    let lines = finished.last_lines();
    let name = name.to_owned();
    match cause(finished) {
        Cause::NoNetwork => EnvironmentError::NoNetwork { lines },
        Cause::FullDisk => EnvironmentError::FullDisk { name, lines },
        Cause::NoSolution => EnvironmentError::NoSolution { name, lines },
        Cause::Other => EnvironmentError::Uv {
            name,
            status: finished.status.to_string(),
            lines,
        },
    }
}
