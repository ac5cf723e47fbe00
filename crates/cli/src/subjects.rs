//! The subjects of a command, made from their specifications and the inputs that all of them share.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use concord_corpus::Collection;
use concord_engine::embedded;
use concord_engine::native::Native;
use concord_engine::options::NativeOptions;
use concord_engine::settings::{IndexSettings, OwnSettings};
use concord_model::checkpoint::Checkpoint;
use concord_model::precision::Precision;
use concord_pipeline::Scratch;
use concord_subject::python::{Downloads, Environments, Progress};
use concord_subject::runner::Runner;
use concord_subject::specification::{SubjectSpec, TorchOptions};
use concord_subject::torch::{Torch, TorchInputs, check, recipe};

use crate::environment;
use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs, checkpoint};
use crate::output::{Failure, status};

/// The subjects of one command.
pub struct Subjects<'a> {
    index: &'a IndexArguments,
    compute: &'a ComputeArguments,
    environments: Environments,
    patience: Duration,
    /// The one that subjects run on which name none.
    checkpoint: Arc<Checkpoint>,
    /// Those that subjects name, by these names.
    own_checkpoints: RefCell<BTreeMap<String, Arc<Checkpoint>>>,
    collection: Arc<Collection>,
    /// The embedded checkpoint's files, which have no folder of their own. Written when they are first needed.
    exported: OnceCell<Scratch>,
}

impl<'a> Subjects<'a> {
    /// Loads what the subjects run on. `downloads`: what becomes of packages that are fetched for them.
    pub fn new(
        inputs: &SubjectInputs,
        index: &'a IndexArguments,
        compute: &'a ComputeArguments,
        downloads: Downloads,
    ) -> Result<Subjects<'a>, Failure> {
        Ok(Subjects {
            index,
            compute,
            environments: environment::environments(downloads),
            patience: inputs.patience(),
            checkpoint: Arc::new(inputs.checkpoint()?),
            own_checkpoints: RefCell::default(),
            collection: inputs.collection()?,
            exported: OnceCell::new(),
        })
    }

    /// The same on another collection.
    pub fn on(mut self, collection: Arc<Collection>) -> Subjects<'a> {
        self.collection = collection;
        self
    }

    /// The checkpoint of a side that has this for itself, loaded when it is first asked for.
    pub fn checkpoint(&self, own: &OwnSettings) -> Result<Arc<Checkpoint>, Failure> {
        let Some(name) = &own.checkpoint else {
            return Ok(Arc::clone(&self.checkpoint));
        };
        if let Some(loaded) = self.own_checkpoints.borrow().get(name) {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(checkpoint(name)?);
        let mut own = self.own_checkpoints.borrow_mut();
        own.insert(name.clone(), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Loads what these subjects name, so that what is wrong with one is said before another is run.
    pub fn load<'s>(
        &self,
        subjects: impl IntoIterator<Item = &'s SubjectSpec>,
    ) -> Result<(), Failure> {
        let mut own = subjects.into_iter().filter_map(SubjectSpec::own);
        own.try_for_each(|own| self.checkpoint(own).map(drop))
    }

    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// The native engine in double precision, which says what is near the truth, under these settings, for
    /// sides that have `own` for themselves.
    pub fn referee(&self, own: &OwnSettings, settings: IndexSettings) -> Result<Native, Failure> {
        let options = NativeOptions {
            // Not what --precision asks of the subjects.
            precision: Precision::F64,
            ..self
                .compute
                .applied_to(NativeOptions::default(), self.index)?
        };
        Ok(Native::new(
            self.checkpoint(own)?,
            Arc::clone(&self.collection),
            options,
            own.over(settings),
        )?)
    }

    pub fn environments(&self) -> &Environments {
        &self.environments
    }

    /// The subject, ready to run. For PyTorch, the environment is made if it is not there.
    pub fn runner(&self, subject: SubjectSpec) -> Result<Runner, Failure> {
        match subject {
            SubjectSpec::Native(options) => {
                let options = self.compute.applied_to(options, self.index)?;
                let native = Native::new(
                    self.checkpoint(&options.own)?,
                    Arc::clone(&self.collection),
                    options,
                    self.index.settings()?,
                )?;
                Ok(Runner::Native(Box::new(native)))
            }
            SubjectSpec::Torch(options) => Ok(Runner::Torch(Box::new(self.torch(options)?))),
            SubjectSpec::Recorded(path) => {
                Err(format!("{} is a folder, which cannot be run", path.display()).into())
            }
        }
    }

    /// Whether these options go together, as far as that can be told without making or running anything. With
    /// several subjects it is asked of all before the first is run.
    pub fn check(&self, subject: &SubjectSpec) -> Result<(), Failure> {
        if let SubjectSpec::Torch(options) = subject {
            self.checked(options.clone())?;
        }
        Ok(())
    }

    fn checked(&self, options: TorchOptions) -> Result<(TorchOptions, TorchInputs), Failure> {
        let options = self.compute.applied_to_torch(options, self.index)?;
        let checkpoint = self.checkpoint(&options.own)?;
        let inputs = TorchInputs {
            folder: self.checkpoint_folder(&checkpoint)?,
            checkpoint,
            collection: Arc::clone(&self.collection),
            settings: self.index.settings()?,
        };
        check(&options, &inputs)?;
        Ok((options, inputs))
    }

    fn torch(&self, options: TorchOptions) -> Result<Torch, Failure> {
        // Whatever can be said without an environment is said before one is made.
        let (options, inputs) = self.checked(options)?;
        let environment = self
            .environments
            .ensure(&recipe(&options), &mut |progress| show(&progress))?;
        let environment = Arc::new(environment);
        Ok(Torch::new(options, environment, inputs, self.patience)?)
    }

    /// A folder with the checkpoint's files, as `transformers` reads them.
    fn checkpoint_folder(&self, checkpoint: &Checkpoint) -> Result<PathBuf, Failure> {
        if let Some(folder) = checkpoint.folder() {
            return Ok(std::path::absolute(folder)?);
        }
        let name = checkpoint.name();
        if name != embedded::CHECKPOINT {
            return Err(format!(
                "{name} is no folder: PyTorch subjects need a checkpoint whose files are in one"
            )
            .into());
        }
        let folder = match self.exported.get() {
            Some(folder) => folder.path(),
            None => {
                let folder = Scratch::new()?;
                embedded::write_checkpoint(checkpoint, &exported(folder.path()))?;
                self.exported.get_or_init(|| folder).path()
            }
        };
        Ok(exported(folder))
    }
}

/// Gives two PyTorch subjects one version of `transformers` where one of them takes another than the usual and
/// neither was told which, so that they differ in what was asked for alone. Says so, and in `names` too.
pub fn share_transformers(a: &mut SubjectSpec, b: &mut SubjectSpec, names: &mut [String; 2]) {
    let (SubjectSpec::Torch(a), SubjectSpec::Torch(b)) = (a, b) else {
        return;
    };
    if let Some(version) = TorchOptions::have_in_common(a, b) {
        status(format_args!(
            "both run with transformers {version}, because one of them takes it"
        ));
        for name in names {
            name.push_str(&format!(",transformers=={version}"));
        }
    }
}

fn exported(folder: &Path) -> PathBuf {
    folder.join(embedded::CHECKPOINT)
}

/// Shows how an environment comes into being, without the packages one by one.
pub fn show(progress: &Progress<'_>) {
    if let Progress::Uv(line) = progress
        && line.trim_start().starts_with(['+', '-', '~'])
    {
        return;
    }
    status(format_args!("{progress}"));
}
