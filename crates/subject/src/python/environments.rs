//! The folder of environments: what is there, making it, and removing it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use concord_pipeline::publish::{Staging, StagingError, writing};

use super::disk::{DiskUsage, present, taken};
use super::error::{EnvironmentError, reading};
use super::make::{FINISHED, Finished, LAST_USED, STAGED, interpreter, make};
use super::progress::Progress;
use super::published;
use super::recipe::Recipe;
use super::settings::Settings;
use super::uv::Uv;
use super::version::{TorchRange, TorchVersion};

/// How often a process that waits for another one looks whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A whole environment. It is not removed as long as this value lives.
#[derive(Debug)]
pub struct Environment {
    folder: PathBuf,
    finished: Finished,
    _in_use: File,
}

impl Environment {
    /// The path of its Python.
    pub fn interpreter(&self) -> PathBuf {
        interpreter(&self.folder)
    }

    /// What it says of itself.
    pub fn finished(&self) -> &Finished {
        &self.finished
    }
}

/// An environment in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name, `torch-2.4.1-bert`.
    pub name: String,
    /// What it takes on disk.
    pub taken: DiskUsage,
    /// When it was last used, or made.
    pub last_used: SystemTime,
    /// What it says of itself.
    pub finished: Finished,
}

/// What an interrupted creation or removal left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The name of the environment it was to be, or was.
    pub name: String,
    /// What it takes on disk.
    pub taken: DiskUsage,
}

/// The environments in a folder.
#[derive(Clone, Debug)]
pub struct Environments {
    root: PathBuf,
    settings: Settings,
}

impl Environments {
    /// Those in `root`, which need not exist yet.
    pub fn new(root: impl AsRef<Path>, settings: Settings) -> Environments {
        let root = root.as_ref();
        Environments {
            // `uv` is run in another folder.
            root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()),
            settings,
        }
    }

    /// The usual folder: below Concord's own, if there is one, and otherwise in the user's cache.
    pub fn usual_root(concord_home: Option<&Path>, user_cache: &Path) -> PathBuf {
        match concord_home {
            Some(home) => home.join("environments"),
            None => user_cache.join("concord").join("environments"),
        }
    }

    /// The folder they are in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The environment of `recipe`, made if it is not there.
    ///
    /// Processes that want the same one at the same time share it: one makes it, the others wait. It is
    /// made in a hidden folder and gets its name when it is whole and its packages could be imported.
    ///
    /// # Errors
    /// When there is no `uv`, the version is not published, the index is out of reach, the disk is too
    /// small, or `uv` fails otherwise. What was half made is then gone.
    pub fn ensure(
        &self,
        recipe: &Recipe,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Environment, EnvironmentError> {
        let name = recipe.name();
        let home = self.root.join(&name);
        let mut told = false;
        loop {
            if let Some(environment) = self.open(recipe)? {
                return Ok(environment);
            }
            let staging = match Staging::open(&home) {
                Ok(staging) => staging.not_kept(),
                Err(StagingError::Busy(_)) => {
                    if !told {
                        progress(Progress::Waiting(&name));
                        told = true;
                    }
                    thread::sleep(LOOK_EVERY);
                    continue;
                }
                Err(StagingError::Publish(error)) => return Err(error.into()),
            };
            // Whoever held the staging folder may have finished between the two looks.
            if let Some(environment) = self.open(recipe)? {
                staging.discard()?;
                return Ok(environment);
            }
            match self.make(recipe, &staging, progress) {
                Ok(()) => staging.publish(STAGED)?,
                Err(error) => {
                    // The first error is the one to tell.
                    let _ = staging.discard();
                    return Err(error);
                }
            }
        }
    }

    fn make(
        &self,
        recipe: &Recipe,
        staging: &Staging,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EnvironmentError> {
        let name = recipe.name();
        let uv = Uv::find(&self.settings.path)?;
        let home = self.root.join(&name);
        if home.exists() {
            progress(Progress::Replacing(&name));
            self.remove_whole(&name)?;
        }
        let made = make(recipe, &self.settings, &self.root, staging, &uv, progress);
        if let Err(EnvironmentError::NoSolution { .. }) = &made
            && let Ok(published) = self.published(progress)
            && !published.contains(&recipe.torch())
        {
            return Err(EnvironmentError::UnknownVersion {
                version: recipe.torch(),
                nearest: recipe.torch().nearest(&published),
            });
        }
        made
    }

    /// The environment of `recipe`, if it is there and whole; it is then in use.
    fn open(&self, recipe: &Recipe) -> Result<Option<Environment>, EnvironmentError> {
        let folder = self.root.join(recipe.name());
        let Some(finished) = read_finished(&folder)? else {
            return Ok(None);
        };
        let same = finished.requirements == recipe.requirements()
            && finished.constraints == recipe.constraints();
        // The Python it was made with may have been removed from the system.
        if !same || !interpreter(&folder).exists() {
            return Ok(None);
        }
        let path = folder.join(LAST_USED);
        let Some(in_use) = present(note_use(&path)).map_err(writing(&path))? else {
            return Ok(None);
        };
        // Somebody may have removed it before it was locked.
        Ok(folder.join(FINISHED).exists().then_some(Environment {
            folder,
            finished,
            _in_use: in_use,
        }))
    }

    /// The whole environments, by version and engine.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, EnvironmentError> {
        let mut list = Vec::new();
        for name in self.names()? {
            let folder = self.root.join(&name);
            // What is removed meanwhile is not there.
            let Some(finished) = read_finished(&folder)? else {
                continue;
            };
            let taken = taken(&folder)?;
            let path = folder.join(LAST_USED);
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let Some(last_used) = present(modified).map_err(reading(&path))? else {
                continue;
            };
            list.push(Listed {
                name,
                taken,
                last_used,
                finished,
            });
        }
        list.sort_by_key(|listed| (listed.finished.torch, listed.name.clone()));
        Ok(list)
    }

    /// What interrupted creations and removals left; [`Environments::remove`] frees it. What is being made
    /// at this moment is not among it.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, EnvironmentError> {
        let mut list = Vec::new();
        for entry in self.names()? {
            let hidden = entry.strip_prefix('.');
            let name = hidden.and_then(|name| {
                name.strip_suffix(".building")
                    .or_else(|| name.strip_suffix(".removing"))
            });
            let Some(name) = name else { continue };
            let folder = self.root.join(&entry);
            if !is_busy(&folder.join("lock"))? {
                list.push(Unfinished {
                    name: name.to_owned(),
                    taken: taken(&folder)?,
                });
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// Removes an environment, and what interrupted creations and removals of it left. The value is what it
    /// took.
    ///
    /// # Errors
    /// When there is none of that name, it is in use or being made, or its files cannot be removed.
    pub fn remove(&self, name: &str) -> Result<DiskUsage, EnvironmentError> {
        let home = self.root.join(name);
        let staged = Staging::folder_for(&home);
        let names = self.names()?;
        let known = |path: &Path| names.iter().any(|name| path.ends_with(name));
        // Only names that the folder has are taken, so that no path can lead out of it.
        let visible = !name.starts_with('.') && Path::new(name).file_name() == Some(name.as_ref());
        let (whole, half) = (known(&home), known(&staged));
        if !visible || !(whole || half || known(&self.trash(name))) {
            return Err(EnvironmentError::NotThere {
                name: name.to_owned(),
                known: self.list()?.into_iter().map(|listed| listed.name).collect(),
            });
        }
        let mut freed = DiskUsage::default();
        let mut add = |taken: DiskUsage| {
            freed.bytes += taken.bytes;
            freed.shared += taken.shared;
        };
        if half {
            let staging = Staging::open(&home).map_err(|error| match error {
                StagingError::Busy(_) => EnvironmentError::InUse(name.to_owned()),
                StagingError::Publish(error) => error.into(),
            })?;
            add(taken(&staged)?);
            staging.discard()?;
        }
        add(self.remove_whole(name)?);
        Ok(freed)
    }

    /// Removes a whole environment, so that nothing looks whole when that is interrupted, and what an
    /// interrupted removal left.
    fn remove_whole(&self, name: &str) -> Result<DiskUsage, EnvironmentError> {
        let home = self.root.join(name);
        let trash = self.trash(name);
        let mut freed = clear(&trash)?;
        if home.exists() {
            let path = home.join(LAST_USED);
            let file = File::create(&path).map_err(writing(&path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(EnvironmentError::InUse(name.to_owned()));
                }
                Err(TryLockError::Error(error)) => return Err(writing(&path)(error).into()),
            }
            fs::rename(&home, &trash).map_err(writing(&home))?;
            let taken = clear(&trash)?;
            freed.bytes += taken.bytes;
            freed.shared += taken.shared;
        }
        Ok(freed)
    }

    fn trash(&self, name: &str) -> PathBuf {
        self.root.join(format!(".{name}.removing"))
    }

    /// The final releases of PyTorch, from the oldest with a recipe on, that the index `uv` is set up with
    /// has for this system, sorted. An answer is kept for a day.
    ///
    /// # Errors
    /// When there is no `uv`, the index is out of reach, or `uv` fails otherwise.
    pub fn published(
        &self,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<TorchVersion>, EnvironmentError> {
        let file = self.root.join("published.json");
        if let Some(versions) = published::kept(&file) {
            return Ok(versions);
        }
        let uv = Uv::find(&self.settings.path)?;
        progress(Progress::Asking);
        let versions = published::ask(&uv)?;
        fs::create_dir_all(&self.root).map_err(writing(&self.root))?;
        published::keep(&file, &versions)?;
        Ok(versions)
    }

    /// The published versions in `range`, sorted; there is at least one.
    ///
    /// # Errors
    /// As [`Environments::published`], and when the range has none.
    pub fn expand(
        &self,
        range: TorchRange,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<TorchVersion>, EnvironmentError> {
        let mut versions = self.published(progress)?;
        let newest = versions.last().copied();
        versions.retain(|version| range.contains(*version));
        match newest {
            Some(newest) if versions.is_empty() => {
                Err(EnvironmentError::EmptyRange { range, newest })
            }
            _ => Ok(versions),
        }
    }

    /// The names of the folders in the root.
    fn names(&self) -> Result<Vec<String>, EnvironmentError> {
        let entries = present(fs::read_dir(&self.root)).map_err(reading(&self.root))?;
        let mut names = Vec::new();
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(reading(&self.root))?;
            if entry.path().is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }
}

/// What the environment in `folder` says of itself; `None` if there is none, or it is not whole.
fn read_finished(folder: &Path) -> Result<Option<Finished>, EnvironmentError> {
    let path = folder.join(FINISHED);
    let text = present(fs::read(&path)).map_err(reading(&path))?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Notes the use of an environment and locks it against removal.
fn note_use(path: &Path) -> io::Result<File> {
    let file = match File::options().append(true).open(path) {
        // An administrator's environments can be used without being written to.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            File::open(path)?
        }
        file => {
            let file = file?;
            file.set_modified(SystemTime::now())?;
            file
        }
    };
    file.lock_shared()?;
    Ok(file)
}

/// Whether a process holds the lock file `path`.
fn is_busy(path: &Path) -> Result<bool, EnvironmentError> {
    let Some(file) = present(File::open(path)).map_err(reading(path))? else {
        return Ok(false);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(reading(path)(error)),
    }
}

/// Removes a folder, if it is there; the value is what it took.
fn clear(folder: &Path) -> Result<DiskUsage, EnvironmentError> {
    if !folder.exists() {
        return Ok(DiskUsage::default());
    }
    let freed = taken(folder)?;
    fs::remove_dir_all(folder).map_err(writing(folder))?;
    Ok(freed)
}
