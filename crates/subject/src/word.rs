//! Subjects as the command line names them: one word, options after commas.

mod torch;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use concord_kernels::compute::{ComputeOptions, IsaError};
use concord_model::numerics::{Numerics, Patch, Variant, VariantError};
use concord_model::precision::{Precision, UnknownPrecision};

use crate::python::{UnknownEngine, VersionError};

pub use torch::{Amp, Attention, Capability, PREFIX as TORCH, Pad, TorchOptions, expand};

/// The most threads that can be asked for; more would only take memory from each other.
pub const MOST_THREADS: usize = 1024;

/// A subject.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The native engine.
    Native(NativeOptions),
    /// A version of PyTorch.
    Torch(TorchOptions),
    /// A recorded run in a folder.
    Recorded(PathBuf),
}

/// The options of a native subject. What is unset is left to whoever runs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeOptions {
    /// The precision.
    pub precision: Precision,
    /// Passages in a batch.
    pub batch: Option<NonZeroUsize>,
    /// Threads and instruction set.
    pub compute: ComputeOptions,
    /// What is computed otherwise than the numeric contract says.
    pub numerics: Numerics,
}

/// Why a word is no subject.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// It names nothing.
    #[error(
        "`{0}` is no subject: write `native` or `torch==2.4.1`, with options after commas \
         (native,batch=8,gemm=split-k:4), or the path of a recorded run"
    )]
    Unknown(String),
    /// An option that is not `name=value` or a patch.
    #[error(
        "unknown option `{0}` of native: it has precision=, batch=, threads=, isa=, gemm=, gelu=, \
         layer_norm=, normalize=, ties=, and MODULE:VARIANT or MODULE:identity, also cluster:normalize= and \
         compress:gemm="
    )]
    UnknownOption(String),
    /// An option that PyTorch subjects do not have.
    #[error("unknown option `{0}` of torch: it has {options}", options = torch::OPTIONS)]
    UnknownTorchOption(String),
    /// A patch of the native engine, placed in PyTorch.
    #[error(
        "`{0}`: torch computes with PyTorch's own operations, so of the patches it takes only \
         MODULE:identity"
    )]
    NotForTorch(String),
    /// A value that an option does not have.
    #[error("unknown {option} `{value}`: choose one of {choices}")]
    UnknownChoice {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// The values it has.
        choices: String,
    },
    /// A range where one subject is needed.
    #[error(
        "`torch=={0}` is a range of versions, and one subject is needed here: name one of them, such as \
         torch=={first}, or give the range to `concord matrix`",
        first = .0.split("..").next().unwrap_or_default()
    )]
    SeveralVersions(String),
    /// Not a version of PyTorch.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// An engine that does not exist.
    #[error(transparent)]
    Engine(#[from] UnknownEngine),
    /// A number that is none, or zero.
    #[error("`{option}={value}`: a whole number from 1 on is needed")]
    NotANumber {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// More threads than any machine has use for.
    #[error("`threads={0}`: at most {MOST_THREADS} threads can be asked for")]
    TooManyThreads(NonZeroUsize),
    /// A precision that does not exist.
    #[error(transparent)]
    Precision(#[from] UnknownPrecision),
    /// An instruction set that does not exist, or not here.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// A variant that does not exist.
    #[error(transparent)]
    Variant(#[from] VariantError),
}

fn number(option: &'static str, value: &str) -> Result<NonZeroUsize, WordError> {
    value.parse().map_err(|_| WordError::NotANumber {
        option,
        value: value.to_owned(),
    })
}

fn threads(value: &str) -> Result<NonZeroUsize, WordError> {
    let threads = number("threads", value)?;
    if threads.get() > MOST_THREADS {
        return Err(WordError::TooManyThreads(threads));
    }
    Ok(threads)
}

impl NativeOptions {
    fn set(&mut self, word: &str) -> Result<(), WordError> {
        // A patch has its colon before any `=`: `linear:gemm=chunk:7` against `gemm=chunk:7`.
        let patch = word.find(':').is_some_and(|at| !word[..at].contains('='));
        if patch {
            self.numerics.patches.push(word.parse::<Patch>()?);
            return Ok(());
        }
        match word.split_once('=') {
            Some(("precision", value)) => self.precision = value.parse()?,
            Some(("batch", value)) => self.batch = Some(number("batch", value)?),
            Some(("threads", value)) => {
                self.compute = self.compute.with_threads(Some(threads(value)?));
            }
            Some(("isa", value)) => self.compute = self.compute.with_isa(value)?,
            _ => match word.parse::<Variant>() {
                Ok(variant) => self.numerics.variants.push(variant),
                Err(VariantError::UnknownOption(word)) => {
                    return Err(WordError::UnknownOption(word));
                }
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
    }
}

impl FromStr for Subject {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Subject, WordError> {
        let mut parts = text.split(',');
        if parts.next() == Some("native") {
            let mut options = NativeOptions::default();
            parts.try_for_each(|part| options.set(part))?;
            return Ok(Subject::Native(options));
        }
        if text.starts_with(TORCH) {
            return Ok(Subject::Torch(TorchOptions::parse(text)?));
        }
        let path = PathBuf::from(text);
        if path.is_dir() {
            Ok(Subject::Recorded(path))
        } else {
            Err(WordError::Unknown(text.to_owned()))
        }
    }
}

impl fmt::Display for NativeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("native")?;
        if self.precision != Precision::default() {
            write!(f, ",precision={}", self.precision)?;
        }
        if let Some(batch) = self.batch {
            write!(f, ",batch={batch}")?;
        }
        for word in self.numerics.words() {
            write!(f, ",{word}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(word: &str) -> NativeOptions {
        match word.parse() {
            Ok(Subject::Native(options)) => options,
            other => panic!("{word}: {other:?}"),
        }
    }

    #[test]
    fn options_come_after_commas_in_any_order() {
        let a = native(
            "native,batch=8,gemm=split-k:4,bert.encoder.layer.4.output.dense:gemm=split-k:3",
        );
        let b = native(
            "native,bert.encoder.layer.4.output.dense:gemm=split-k:3,gemm=split-k:4,batch=8",
        );
        assert_eq!(a, b);
        assert_eq!(a.batch, NonZeroUsize::new(8));
        assert_eq!(
            (a.numerics.variants.len(), a.numerics.patches.len()),
            (1, 1)
        );
    }

    #[test]
    fn a_word_reads_back_without_what_does_not_matter() {
        let word = "native,batch=7,gelu=tanh,bert.encoder.layer.*.output.dense:identity";
        assert_eq!(native(word).to_string(), word);
        assert_eq!(native("native,threads=2,isa=scalar").to_string(), "native");
        let referee = native("native,precision=f64");
        assert_eq!(referee.precision, Precision::F64);
        assert_eq!(referee.to_string(), "native,precision=f64");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_there_is() {
        for (word, said) in [
            ("natve", "native"),
            ("native,batch=0", "whole number from 1"),
            ("native,threads=99999", "at most 1024"),
            ("native,speed=9", "precision="),
            ("native,precision=f8", "f32"),
            ("native,gemm=fast", "matrixmultiply"),
            ("native,isa=mmx", "avx512"),
            ("native,linear:", "MODULE:VARIANT"),
        ] {
            let error = word.parse::<Subject>().unwrap_err().to_string();
            assert!(error.contains(said), "{word}: {error}");
        }
    }
}
