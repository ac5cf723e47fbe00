//! Making one environment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use concord_pipeline::publish::{Staging, write_json, writing};
use serde::{Deserialize, Serialize};

use super::disk::{existing, same_disk};
use super::engine::Engine;
use super::error::{EnvironmentError, reading};
use super::progress::Progress;
use super::published::failure;
use super::recipe::{Departure, Recipe};
use super::settings::{Downloads, Settings, Wheels};
use super::uv::Uv;
use super::version::TorchVersion;
use crate::process;

/// What the environment is called within its staging folder.
pub(super) const STAGED: &str = "environment";
/// The record of a whole environment.
pub(super) const FINISHED: &str = "finished.json";
/// The file whose time of modification is the environment's last use, and whose lock says that it is used.
pub(super) const LAST_USED: &str = "last_used";

/// How long the index of CPU wheels may take to answer.
const PROBE_BOUND: Duration = Duration::from_secs(10);

/// Imports what every engine needs and says which Python it is. Python keeps what it compiles for that, so agents
/// start sooner.
const CHECK: &str = "import platform, numpy, safetensors, tokenizers, torch, transformers; \
                     from transformers import AutoTokenizer, BertConfig, BertModel; \
                     print(platform.python_version())";
/// What the engine `colbert` needs besides.
const CHECK_COLBERT: &str = "import faiss; from colbert import Indexer";

/// What a whole environment says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    pub torch: TorchVersion,
    pub engine: Engine,
    /// The version of Python, such as `3.11.7`.
    pub python: String,
    /// The program that made it, with its version.
    pub uv: String,
    /// Whether PyTorch's wheels for the CPU alone were preferred; otherwise they are what `uv` was set up
    /// for.
    pub cpu_wheels: bool,
    pub requirements: Vec<String>,
    /// What was asked of the packages that those need.
    pub constraints: Vec<String>,
    /// What differs from the environments of most other versions.
    pub departures: Vec<Departure>,
    /// Every installed package with its version.
    pub installed: Vec<String>,
}

/// The interpreter of the environment in `folder`.
pub(super) fn interpreter(folder: &Path) -> PathBuf {
    if cfg!(windows) {
        folder.join("Scripts").join("python.exe")
    } else {
        folder.join("bin").join("python")
    }
}

/// Makes the environment of `recipe` in a staging folder, up to its publication.
///
/// When the index has no solution that may be because the version does not exist; the caller finds out.
pub(super) fn make(
    recipe: &Recipe,
    settings: &Settings,
    root: &Path,
    staging: &Staging,
    uv: &Uv,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), EnvironmentError> {
    let maker = Maker {
        name: recipe.name(),
        recipe,
        settings,
        root,
        staging,
        uv,
    };
    maker.make(progress)
}

struct Maker<'a> {
    name: String,
    recipe: &'a Recipe,
    settings: &'a Settings,
    root: &'a Path,
    staging: &'a Staging,
    uv: &'a Uv,
}

impl Maker<'_> {
    fn make(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), EnvironmentError> {
        let folder = self.staging.path(STAGED);
        // What a killed creation left.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(writing(&folder))?;
        }
        let requirements = self.write_lines("requirements.txt", &self.recipe.requirements())?;
        let constraints = self.write_lines("constraints.txt", &self.recipe.constraints())?;
        let cpu_wheels = self.settings.wheels == Wheels::CpuIfReachable && self.cpu_wheels()?;
        self.check_space(cpu_wheels)?;
        progress(Progress::Making {
            recipe: self.recipe,
            cpu_wheels,
            bytes: self.recipe.unpacked_bytes(cpu_wheels),
        });
        let mut hear = |line: &str| progress(Progress::Uv(line));
        let venv: [OsString; 6] = [
            "venv".into(),
            "--no-project".into(),
            "--relocatable".into(),
            "--python".into(),
            self.recipe.python().into(),
            folder.clone().into(),
        ];
        self.uv(&venv, &mut hear)?;
        let mut install: Vec<OsString> = vec![
            "pip".into(),
            "install".into(),
            "--python".into(),
            interpreter(&folder).into(),
            "--only-binary=:all:".into(),
            "--requirement".into(),
            requirements.into(),
            "--constraint".into(),
            constraints.into(),
        ];
        if cpu_wheels {
            install.push("--torch-backend=cpu".into());
        }
        if self.settings.downloads == Downloads::Discard {
            install.push("--cache-dir".into());
            install.push(self.staging.path("cache").into());
        }
        self.uv(&install, &mut hear)?;
        let freeze: [OsString; 4] = [
            "pip".into(),
            "freeze".into(),
            "--python".into(),
            interpreter(&folder).into(),
        ];
        let installed = self.uv(&freeze, &mut |_| ())?;
        progress(Progress::Checking);
        let finished = Finished {
            torch: self.recipe.torch(),
            engine: self.recipe.engine(),
            python: self.check(&folder)?,
            uv: self.uv.version().to_owned(),
            cpu_wheels,
            requirements: self.recipe.requirements(),
            constraints: self.recipe.constraints(),
            departures: self.recipe.departures(),
            installed: installed.lines().map(str::to_owned).collect(),
        };
        let last_used = folder.join(LAST_USED);
        File::create(&last_used).map_err(writing(&last_used))?;
        write_json(&folder.join(FINISHED), &finished)?;
        Ok(())
    }

    fn write_lines(&self, name: &str, lines: &[String]) -> Result<PathBuf, EnvironmentError> {
        let path = self.staging.path(name);
        fs::write(&path, lines.join("\n") + "\n").map_err(writing(&path))?;
        Ok(path)
    }

    /// Runs `uv` to a good end; the value is its standard output.
    fn uv(
        &self,
        arguments: &[OsString],
        hear: &mut dyn FnMut(&str),
    ) -> Result<String, EnvironmentError> {
        let finished = self.uv.run(self.root, arguments, None, hear)?;
        if finished.status.success() {
            Ok(finished.output)
        } else {
            Err(failure(&self.name, &finished))
        }
    }

    /// Whether `uv` knows an index of wheels for the CPU alone, it answers, and it has this version.
    fn cpu_wheels(&self) -> Result<bool, EnvironmentError> {
        match self.find_torch(&["--torch-backend=cpu"], Some(PROBE_BOUND)) {
            Ok(finished) => Ok(finished.status.success()),
            // Too slow is as good as out of reach: the wheels come from the usual index then.
            Err(EnvironmentError::Run { source, .. })
                if source.kind() == std::io::ErrorKind::TimedOut =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Looks for this version of PyTorch in an index, without downloading it.
    fn find_torch(
        &self,
        options: &[&str],
        bound: Option<Duration>,
    ) -> Result<process::Finished, EnvironmentError> {
        let torch = self.write_lines("torch.in", &[format!("torch=={}", self.recipe.torch())])?;
        let mut arguments: Vec<OsString> = vec![
            "pip".into(),
            "compile".into(),
            torch.into(),
            "--quiet".into(),
            "--no-deps".into(),
            "--only-binary=:all:".into(),
            "--python-version".into(),
            self.recipe.python().into(),
        ];
        arguments.extend(options.iter().map(OsString::from));
        self.uv.run(self.root, &arguments, bound, &mut |_| ())
    }

    /// Makes sure that the environment fits, and what `uv` keeps in its cache when that is elsewhere. On one
    /// disk both are the same files.
    fn check_space(&self, cpu_wheels: bool) -> Result<(), EnvironmentError> {
        let root = existing(self.root);
        let mut folders = vec![root.clone()];
        if self.settings.downloads == Downloads::Keep {
            let cache = self.uv(&["cache".into(), "dir".into()], &mut |_| ())?;
            let cache = existing(Path::new(cache.trim()));
            if !same_disk(&root, &cache)? {
                folders.push(cache);
            }
        }
        let needed = self.recipe.unpacked_bytes(cpu_wheels);
        for folder in folders {
            let free = (self.settings.free_space)(&folder).map_err(reading(&folder))?;
            if free < needed {
                // What a version would take matters only if there is such a version.
                let found = self.find_torch(&[], None)?;
                if !found.status.success() {
                    return Err(failure(&self.name, &found));
                }
                return Err(EnvironmentError::Shortage {
                    name: self.name.clone(),
                    folder,
                    needed,
                    free,
                });
            }
        }
        Ok(())
    }

    /// Imports the packages and gives the version of Python.
    fn check(&self, folder: &Path) -> Result<String, EnvironmentError> {
        let program = interpreter(folder);
        let mut script = CHECK.to_owned();
        if self.recipe.engine() == Engine::Colbert {
            script = format!("{script}; {CHECK_COLBERT}");
        }
        let mut command = Command::new(&program);
        command.args(["-I", "-W", "ignore", "-c", &script]);
        let finished = process::run(&mut command, None, &mut |_| ())
            .map_err(|source| EnvironmentError::Run { program, source })?;
        if !finished.status.success() {
            return Err(EnvironmentError::Broken {
                name: self.name.clone(),
                lines: finished.last_lines(),
            });
        }
        let python = finished.output.lines().next().unwrap_or_default();
        Ok(python.to_owned())
    }
}
