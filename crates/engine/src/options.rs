//! The options of the native engine, as text: `batch=8,gemm=split-k:4`.

use std::fmt;
use std::num::NonZeroUsize;

use concord_kernels::compute::{ComputeOptions, IsaError, MAX_THREADS};
use concord_model::numerics::{Numerics, Patch, Variant, VariantError};
use concord_model::precision::{Precision, UnknownPrecision};

use crate::settings::{OwnSettings, SettingError};

/// How the native engine computes. What is unset is left to whoever runs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeOptions {
    pub precision: Precision,
    /// Passages in a batch.
    pub batch: Option<NonZeroUsize>,
    /// Threads and instruction set.
    pub compute: ComputeOptions,
    /// What is computed otherwise than the numeric contract says.
    pub numerics: Numerics,
    /// What this side has for itself; it comes before what all sides are told.
    pub own: OwnSettings,
}

/// Why text is no option of the native engine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// It is neither `name=value` nor a patch.
    #[error(
        "unknown option `{0}` of native: it has precision=, batch=, threads=, isa=, gemm=, gelu=, \
         layer_norm=, normalize=, ties=, and MODULE:VARIANT or MODULE:identity, also cluster:normalize= and \
         compress:gemm=; for this side alone checkpoint=, nbits=, doc_maxlen=, kmeans_niters= and seed="
    )]
    Unknown(String),
    /// A number that is none, or zero.
    #[error("`{option}={value}`: a whole number from 1 on is needed")]
    NotANumber { option: &'static str, value: String },
    #[error("`threads={0}`: at most {MAX_THREADS} threads can be asked for")]
    TooManyThreads(NonZeroUsize),
    #[error(transparent)]
    Precision(#[from] UnknownPrecision),
    /// An instruction set that does not exist, or not here.
    #[error(transparent)]
    InstructionSet(#[from] IsaError),
    #[error(transparent)]
    Variant(#[from] VariantError),
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// The value of an option that counts something.
///
/// # Errors
/// When it is no whole number from 1 on.
pub fn number(option: &'static str, value: &str) -> Result<NonZeroUsize, OptionError> {
    value.parse().map_err(|_| OptionError::NotANumber {
        option,
        value: value.to_owned(),
    })
}

/// The value of `threads=`.
///
/// # Errors
/// When it is no whole number from 1 to [`MAX_THREADS`].
pub fn threads(value: &str) -> Result<NonZeroUsize, OptionError> {
    let threads = number("threads", value)?;
    if threads.get() > MAX_THREADS {
        return Err(OptionError::TooManyThreads(threads));
    }
    Ok(threads)
}

impl NativeOptions {
    /// Options out of their texts, in any order; of several for one thing, the last counts.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse<'a>(
        options: impl IntoIterator<Item = &'a str>,
    ) -> Result<NativeOptions, OptionError> {
        let mut parsed = NativeOptions::default();
        let mut before = "";
        for option in options {
            parsed
                .set(option)
                .map_err(|error| match (error, before.split_once('=')) {
                    (OptionError::Unknown(rest), Some(("checkpoint", path))) => {
                        let path = path.to_owned();
                        SettingError::Comma { path, rest }.into()
                    }
                    (error, _) => error,
                })?;
            before = option;
        }
        Ok(parsed)
    }

    fn set(&mut self, option: &str) -> Result<(), OptionError> {
        // A patch has its colon before any `=`: `linear:gemm=chunk:7` against `gemm=chunk:7`.
        let patch = option
            .find(':')
            .is_some_and(|at| !option[..at].contains('='));
        if patch {
            self.numerics.patches.push(option.parse::<Patch>()?);
            return Ok(());
        }
        match option.split_once('=') {
            Some(("precision", value)) => self.precision = value.parse()?,
            Some(("batch", value)) => self.batch = Some(number("batch", value)?),
            Some(("threads", value)) => {
                self.compute = self.compute.with_threads(Some(threads(value)?));
            }
            Some(("isa", value)) => self.compute = self.compute.with_isa(value)?,
            Some((name, value)) if self.own.set(name, value)? => {}
            _ => match option.parse::<Variant>() {
                Ok(variant) => self.numerics.variants.push(variant),
                Err(VariantError::UnknownOption(option)) => {
                    return Err(OptionError::Unknown(option));
                }
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
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
        for option in self.numerics.options() {
            write!(f, ",{option}")?;
        }
        write!(f, "{}", self.own)
    }
}
