//! Subjects that can be run, whatever they are.

use std::path::Path;

use concord_engine::native::Native;
use concord_model::architecture::Architecture;
use concord_model::checkpoint::Checkpoint;
use concord_pipeline::{Capture, Forcing, Progress};

use crate::error::RecordError;
use crate::probe::{self, ProbeBatch};
use crate::record;
use crate::specification::Pad;
use crate::torch::Torch;

/// Options that one subject can take over from another of its kind, so that what they alone change can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenOver {
    /// The precision: `precision=` of the native engine, `amp=` of PyTorch.
    Precision,
    /// The implementation of attention of `transformers`.
    Attention,
    /// The instruction set that PyTorch is held to.
    InstructionSet,
    /// Numeric variants, and modules that are cut out.
    Numerics,
}

/// A subject that can be run, on a checkpoint and a collection.
pub enum Runner {
    Native(Box<Native>),
    Torch(Box<Torch>),
}

impl Runner {
    /// The subject's specification.
    pub fn specification(&self) -> String {
        match self {
            Runner::Native(native) => native.specification(),
            Runner::Torch(torch) => torch.specification(),
        }
    }

    /// This subject with the options `what` of `other`; `None` where the two are of different kinds, or where that takes
    /// another environment.
    ///
    /// # Errors
    /// When the options do not go together.
    pub fn taking_over(
        &self,
        what: TakenOver,
        other: &Runner,
    ) -> Result<Option<Runner>, RecordError> {
        match (self, other) {
            (Runner::Native(native), Runner::Native(other)) => {
                let (mut options, theirs) = (native.made_with().clone(), other.made_with());
                match what {
                    TakenOver::Precision => options.precision = theirs.precision,
                    TakenOver::Numerics => options.numerics = theirs.numerics.clone(),
                    TakenOver::Attention | TakenOver::InstructionSet => return Ok(None),
                }
                Ok(Some(Runner::Native(Box::new(native.under(options)?))))
            }
            (Runner::Torch(torch), Runner::Torch(other)) => {
                let (mut options, theirs) = (torch.options().clone(), other.options());
                match what {
                    TakenOver::Precision => options.amp = theirs.amp,
                    TakenOver::Attention => options.attention = theirs.attention,
                    TakenOver::InstructionSet => options.isa = theirs.isa,
                    TakenOver::Numerics => options.patches = theirs.patches.clone(),
                }
                let torch = torch.under(options)?;
                Ok(torch.map(|torch| Runner::Torch(Box::new(torch))))
            }
            (Runner::Native(_), Runner::Torch(_)) | (Runner::Torch(_), Runner::Native(_)) => {
                Ok(None)
            }
        }
    }

    /// The checkpoint that it runs on.
    pub fn checkpoint(&self) -> &Checkpoint {
        match self {
            Runner::Native(native) => native.checkpoint(),
            Runner::Torch(torch) => torch.checkpoint(),
        }
    }

    /// How far it pads its batches. The native engine does not, which is as good as to the longest.
    pub fn pad(&self) -> Pad {
        match self {
            Runner::Native(_) => Pad::Batch,
            Runner::Torch(torch) => torch.pad(),
        }
    }

    /// Whether a passage gets the same in every batch, whatever else is in it. PyTorch does not promise that.
    pub fn is_batch_invariant(&self) -> bool {
        match self {
            Runner::Native(native) => native.made_with().numerics.is_batch_invariant(),
            Runner::Torch(_) => false,
        }
    }

    /// Whether the modules at `a` and `b` compute the operations that both have in one way.
    pub fn computes_alike(&self, a: &str, b: &str) -> bool {
        match self {
            Runner::Native(native) => native.arithmetic_at(a) == native.arithmetic_at(b),
            Runner::Torch(_) => true,
        }
    }

    /// The heads of attention in its checkpoint.
    pub fn heads(&self) -> usize {
        match self {
            Runner::Native(native) => native.heads(),
            Runner::Torch(torch) => torch.heads(),
        }
    }

    /// The modules of its checkpoint, those that its options cut out among them.
    pub fn architecture(&self) -> Architecture {
        match self {
            Runner::Native(native) => native.checkpoint().architecture(),
            Runner::Torch(torch) => torch.architecture(),
        }
    }

    /// Whether its options cut the module at `module` out, so that it gives back what it reads and nothing
    /// inside it is run.
    pub fn is_cut_out(&self, module: &str) -> bool {
        match self {
            Runner::Native(native) => native.is_cut_out(module),
            Runner::Torch(torch) => torch.is_cut_out(module),
        }
    }

    pub fn passages(&self) -> usize {
        match self {
            Runner::Native(native) => native.grid().passages(),
            Runner::Torch(torch) => torch.passages(),
        }
    }

    /// Runs the subject from the beginning and records it at `out`. Returns remarks for the user.
    ///
    /// # Errors
    /// When a tap names no module, or the run cannot be computed or written; nothing is then left at `out`.
    pub fn record(
        &self,
        capture: Capture,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, RecordError> {
        match self {
            Runner::Native(native) => record::record(native, capture, out, progress),
            Runner::Torch(torch) => torch.record(capture, out, progress),
        }
    }

    /// Runs the encoder alone over exactly these batches and records its taps at `out`. With `forcing`,
    /// each module gives on what the other run computed there, once it is recorded what it computed itself.
    ///
    /// # Errors
    /// When a passage does not exist, a tap names no module, what is forced does not fit, or the run cannot
    /// be computed or written; nothing is then left at `out`.
    pub fn probe(
        &self,
        batches: &[ProbeBatch],
        forcing: Option<&Forcing<'_>>,
        capture: Capture,
        out: &Path,
    ) -> Result<(), RecordError> {
        match self {
            Runner::Native(native) => probe::probe(native, batches, forcing, capture, out),
            Runner::Torch(torch) => torch.probe(batches, forcing, capture, out),
        }
    }
}
