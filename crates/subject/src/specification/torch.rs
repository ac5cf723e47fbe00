//! PyTorch subjects: `torch==2.4.1,engine=bert,amp=bf16,batch=8`.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use concord_engine::options::{number, threads};
use concord_engine::settings::{OwnSettings, SettingError};
use concord_model::numerics::{Change, Patch};

use super::error::SpecError;
use crate::python::{Engine, TorchVersion, TransformersVersion, USUAL, WITH_SDPA};

/// Autocast of PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Amp {
    /// None: single precision throughout.
    #[default]
    Off,
    F16,
    Bf16,
}

/// How far a batch is padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pad {
    /// To the longest passage of the batch.
    #[default]
    Batch,
    /// To the longest of the passages that are tokenised together, as `colbert-ai` does.
    List,
}

/// The implementation of attention in `transformers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attention {
    /// Matrix product, softmax, matrix product: what every version of PyTorch has.
    #[default]
    Eager,
    /// PyTorch's fused operation.
    Sdpa,
}

/// Whether the model drops values at random, as it does while it is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dropout {
    /// The model is in evaluation mode.
    #[default]
    Off,
    /// It is left in training mode, with another seed each time: a fault that is known, to try a search for
    /// faults with.
    On,
}

/// The instruction set that PyTorch and the libraries inside it are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// None beside the base of the processor's family.
    Scalar,
    Avx2,
    Avx512,
}

/// The options of a PyTorch subject. What is unset is left to the agent, which says what it chose.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchOptions {
    pub version: TorchVersion,
    pub engine: Engine,
    /// The device, as PyTorch names it; the CPU if unset.
    pub device: Option<String>,
    pub amp: Amp,
    /// Passages in a batch.
    pub batch: Option<NonZeroUsize>,
    /// Threads of one operation.
    pub threads: Option<NonZeroUsize>,
    /// How far batches are padded.
    pub pad: Pad,
    pub attention: Attention,
    pub isa: Option<Capability>,
    /// The version of `transformers`; see [`TorchOptions::transformers`].
    pub transformers: Option<TransformersVersion>,
    pub dropout: Dropout,
    /// Modules that are cut out.
    pub patches: Vec<Patch>,
    /// What this side has for itself; it comes before what all sides are told.
    pub own: OwnSettings,
}

/// How the specifications of PyTorch subjects begin.
pub const PREFIX: &str = "torch==";

/// Makes the values of an option that has few of them readable and printable.
macro_rules! choices {
    ($type:ident, $option:literal, $($name:literal => $value:ident),+) => {
        impl FromStr for $type {
            type Err = SpecError;

            fn from_str(text: &str) -> Result<$type, SpecError> {
                match text {
                    $($name => Ok($type::$value),)+
                    other => Err(SpecError::UnknownChoice {
                        option: $option,
                        value: other.to_owned(),
                        choices: [$($name),+].join(", "),
                    }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($type::$value => $name,)+
                })
            }
        }
    };
}

choices!(Amp, "amp", "none" => Off, "fp16" => F16, "bf16" => Bf16);
choices!(Pad, "pad", "batch" => Batch, "list" => List);
choices!(Attention, "attention", "eager" => Eager, "sdpa" => Sdpa);
choices!(Dropout, "dropout", "off" => Off, "on" => On);
choices!(Capability, "isa", "scalar" => Scalar, "avx2" => Avx2, "avx512" => Avx512);

impl TorchOptions {
    /// That version, with `engine=bert` and nothing else set.
    pub fn new(version: TorchVersion) -> TorchOptions {
        TorchOptions {
            version,
            engine: Engine::Bert,
            device: None,
            amp: Amp::default(),
            batch: None,
            threads: None,
            pad: Pad::default(),
            attention: Attention::default(),
            isa: None,
            transformers: None,
            dropout: Dropout::default(),
            patches: Vec::new(),
            own: OwnSettings::default(),
        }
    }

    /// The version of `transformers` that it has: the one that is asked for, or the usual one, or where that
    /// lacks the attention that is asked for one that has it.
    pub fn transformers(&self) -> TransformersVersion {
        let fitting = match self.attention {
            Attention::Eager => USUAL,
            Attention::Sdpa => WITH_SDPA,
        };
        self.transformers.unwrap_or(fitting)
    }

    /// Gives two subjects that leave the version of `transformers` open one version, where what one of them
    /// asks for takes another than the usual: then they differ in nothing that was not asked for. Returns the
    /// version if it is not what one of them has by itself.
    pub fn have_in_common(
        a: &mut TorchOptions,
        b: &mut TorchOptions,
    ) -> Option<TransformersVersion> {
        if a.transformers.is_some() || b.transformers.is_some() {
            return None;
        }
        let (of_a, of_b) = (a.transformers(), b.transformers());
        let newest = of_a.max(of_b);
        let fits = |options: &TorchOptions| {
            let sdpa = options.attention == Attention::Sdpa;
            newest.check(options.version, sdpa).is_ok()
        };
        if of_a == of_b || !fits(a) || !fits(b) {
            return None;
        }
        (a.transformers, b.transformers) = (Some(newest), Some(newest));
        Some(newest)
    }

    /// Reads a text that begins with [`PREFIX`].
    pub(super) fn parse(text: &str) -> Result<TorchOptions, SpecError> {
        let mut parts = text.strip_prefix(PREFIX).unwrap_or(text).split(',');
        let version = parts.next().unwrap_or_default();
        if version.contains("..") {
            return Err(SpecError::SeveralVersions(version.to_owned()));
        }
        let mut options = TorchOptions::new(version.parse()?);
        let mut before = "";
        for part in parts {
            options
                .set(part)
                .map_err(|error| match (error, before.split_once('=')) {
                    (SpecError::UnknownTorchOption(rest), Some(("checkpoint", path))) => {
                        let path = path.to_owned();
                        SettingError::Comma { path, rest }.into()
                    }
                    (error, _) => error,
                })?;
            before = part;
        }
        Ok(options)
    }

    fn set(&mut self, text: &str) -> Result<(), SpecError> {
        if text.find(':').is_some_and(|at| !text[..at].contains('=')) {
            let patch = text.parse::<Patch>()?;
            if patch.change != Change::Identity {
                return Err(SpecError::NotForTorch(text.to_owned()));
            }
            self.patches.push(patch);
            return Ok(());
        }
        let unknown = || SpecError::UnknownTorchOption(text.to_owned());
        match text.split_once('=').ok_or_else(unknown)? {
            ("engine", value) => self.engine = value.parse()?,
            ("device", value) if !value.is_empty() => {
                self.device = (value != "cpu").then(|| value.to_owned());
            }
            ("amp", value) => self.amp = value.parse()?,
            ("batch", value) => self.batch = Some(number("batch", value)?),
            ("threads", value) => self.threads = Some(threads(value)?),
            ("pad", value) => self.pad = value.parse()?,
            ("attention", value) => self.attention = value.parse()?,
            ("isa", value) => self.isa = Some(value.parse()?),
            ("dropout", value) => self.dropout = value.parse()?,
            // As a requirement of Python has it, or as an option.
            ("transformers", value) => {
                let version = value.strip_prefix('=').unwrap_or(value);
                self.transformers = Some(version.parse()?);
            }
            (name, value) if self.own.set(name, value)? => {}
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

impl fmt::Display for TorchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{},engine={}", self.version, self.engine)?;
        if let Some(device) = &self.device {
            write!(f, ",device={device}")?;
        }
        if self.amp != Amp::default() {
            write!(f, ",amp={}", self.amp)?;
        }
        if let Some(batch) = self.batch {
            write!(f, ",batch={batch}")?;
        }
        if let Some(threads) = self.threads {
            write!(f, ",threads={threads}")?;
        }
        if self.pad != Pad::default() {
            write!(f, ",pad={}", self.pad)?;
        }
        if self.attention != Attention::default() {
            write!(f, ",attention={}", self.attention)?;
        }
        if let Some(isa) = self.isa {
            write!(f, ",isa={isa}")?;
        }
        // What the attention took is told like what was asked for.
        if self.transformers.is_some() || self.transformers() != USUAL {
            write!(f, ",transformers=={}", self.transformers())?;
        }
        if self.dropout != Dropout::default() {
            write!(f, ",dropout={}", self.dropout)?;
        }
        for patch in &self.patches {
            write!(f, ",{patch}")?;
        }
        write!(f, "{}", self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specification::SubjectSpec;

    fn torch(text: &str) -> TorchOptions {
        match text.parse() {
            Ok(SubjectSpec::Torch(options)) => options,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_word_reads_back() {
        for text in [
            "torch==2.4.1,engine=bert",
            "torch==1.13.1,engine=colbert,device=cuda:1,amp=fp16,batch=8,threads=2",
            "torch==2.15.0,engine=bert,pad=list,attention=sdpa,isa=avx2,transformers==4.57.6,linear:identity",
            "torch==2.8.0,engine=bert,batch=8,checkpoint=./other,nbits=4,doc_maxlen=40,kmeans_niters=2,seed=7",
            "torch==2.8.0,engine=bert,transformers==4.38.2,dropout=on",
        ] {
            assert_eq!(torch(text).to_string(), text);
        }
        let plain = torch("torch==2.4.1,device=cpu,amp=none,pad=batch");
        assert_eq!(plain, TorchOptions::new("2.4.1".parse().unwrap()));
    }

    #[test]
    fn what_an_attention_takes_of_transformers_is_part_of_the_word() {
        let sdpa = torch("torch==2.8.0,attention=sdpa");
        let word = "torch==2.8.0,engine=bert,attention=sdpa,transformers==4.48.3";
        assert_eq!(sdpa.to_string(), word);
        assert_eq!(torch(word).to_string(), word);
        let eager = torch("torch==2.8.0,transformers=4.48.3");
        assert_eq!(
            eager.to_string(),
            "torch==2.8.0,engine=bert,transformers==4.48.3"
        );
    }

    #[test]
    fn two_subjects_differ_in_transformers_only_where_it_was_asked_for() {
        let common = |a: &str, b: &str| {
            let (mut a, mut b) = (torch(a), torch(b));
            let told = TorchOptions::have_in_common(&mut a, &mut b);
            (
                told.map(|version| version.to_string()),
                a.transformers(),
                b.transformers(),
            )
        };
        let sdpa = "torch==2.8.0,attention=sdpa";
        let told = Some(WITH_SDPA.to_string());
        assert_eq!(
            common("torch==2.8.0", sdpa),
            (told.clone(), WITH_SDPA, WITH_SDPA)
        );
        assert_eq!(common(sdpa, "torch==1.13.1"), (told, WITH_SDPA, WITH_SDPA));
        assert_eq!(common(sdpa, sdpa), (None, WITH_SDPA, WITH_SDPA));
        assert_eq!(common("torch==2.8.0", "torch==2.7.1"), (None, USUAL, USUAL));
        let asked = "torch==2.8.0,transformers==4.38.2";
        assert_eq!(common(asked, sdpa), (None, USUAL, WITH_SDPA));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_there_is() {
        for (text, said) in [
            ("torch==2.8.0,transformers==4.48", "three numbers"),
            ("torch==2.8.0,dropout=0.1", "off, on"),
            ("torch==2.4", "three numbers"),
            ("torch==2.0.1..2.2.0,batch=8", "`concord matrix`"),
            ("torch==2.4.1,speed=9", "engine="),
            ("torch==2.4.1,amp=f8", "none, fp16, bf16"),
            ("torch==2.4.1,engine=tf", "bert, colbert"),
            ("torch==2.4.1,batch=0", "whole number from 1"),
            ("torch==2.4.1,isa=neon", "scalar, avx2, avx512"),
            ("torch==2.4.1,linear:gemm=split-k:3", "identity"),
            ("torch==2.4.1,precision=f16", "amp="),
            ("torch==2.4.1,checkpoint=a,b", "`b` after `checkpoint=a`"),
            ("torch==2.4.1,checkpoint=", "no checkpoint"),
            ("torch==2.4.1,nbits=two", "`nbits=two`: a whole number"),
            ("torch==2.4.1,seed=-1", "from 0 to 4294967295"),
        ] {
            let error = text.parse::<SubjectSpec>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
