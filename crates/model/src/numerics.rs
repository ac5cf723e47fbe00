//! Named alternatives of operations, and the modules they are placed at.
//!
//! Frameworks differ in how they add, in how they compute a variance or GELU, in whether they divide by
//! a norm or multiply by its reciprocal. Each such way has a name here, `gemm=split-k:4`, and may be
//! chosen for all modules or for some, `bert.encoder.layer.4.output.dense:gemm=split-k:3`. A module can
//! also be cut out, `bert.encoder.layer.*.intermediate.dense:identity`. Runs that differ in one of them
//! differ for a known reason.

use std::fmt;
use std::str::FromStr;

use concord_kernels::gelu::Gelu;
use concord_kernels::gemm::Gemm;
use concord_kernels::layer_norm::Variance;
use concord_kernels::library::Library;
use concord_kernels::normalize::Normalize;
use concord_pipeline::ModulePattern;

/// One operation, computed in one of its ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The matrix product of linear layers.
    Gemm(Gemm),
    /// The matrix product of linear layers in batches of that many rows and more, as libraries choose
    /// another kernel for larger products.
    GemmFrom {
        gemm: Gemm,
        /// The fewest rows for which it is chosen.
        rows: usize,
    },
    /// Which of several centroids that are equally near an embedding gets as its code.
    Ties(Ties),
    /// The activation, where the checkpoint's is GELU.
    Gelu(Gelu),
    /// The variance in layer normalisation.
    LayerNorm(Variance),
    /// The last step, bringing embeddings to unit length.
    Normalize(Normalize),
}

/// Which of several equal ones is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    #[default]
    First,
    Last,
}

/// The stages after the encoder that can compute in other ways, as patches name them: `cluster` and
/// `compress`.
pub const STAGES: [&str; 2] = ["cluster", "compress"];

/// What is changed at a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The module gives back its input.
    Identity,
    /// The module, and those inside it, compute an operation in another way.
    Variant(Variant),
}

impl Change {
    /// The variant, if it is one.
    fn variant(self) -> Option<Variant> {
        match self {
            Change::Variant(variant) => Some(variant),
            Change::Identity => None,
        }
    }
}

/// A change at the modules that a pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub at: ModulePattern,
    pub change: Change,
}

/// Everything about a run's arithmetic that differs from the numeric contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numerics {
    /// Alternatives chosen for all modules. Of several for one operation, the last counts.
    pub variants: Vec<Variant>,
    /// Changes at some modules. Of several for one operation at one module, the last counts.
    pub patches: Vec<Patch>,
}

/// The ways in which one module computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arithmetic {
    pub gemm: Gemm,
    /// Another product for so many rows and more.
    pub gemm_from: Option<(usize, Gemm)>,
    /// The code among equally near centroids.
    pub ties: Ties,
    /// The form of GELU; `None` is the checkpoint's own.
    pub gelu: Option<Gelu>,
    pub layer_norm: Variance,
    pub normalize: Normalize,
}

impl Arithmetic {
    /// The matrix product for that many rows.
    pub fn gemm_for(&self, rows: usize) -> Gemm {
        match self.gemm_from {
            Some((from, gemm)) if rows >= from => gemm,
            _ => self.gemm,
        }
    }

    fn set(&mut self, variant: Variant) {
        match variant {
            Variant::Gemm(gemm) => self.gemm = gemm,
            Variant::GemmFrom { gemm, rows } => self.gemm_from = Some((rows, gemm)),
            Variant::Ties(ties) => self.ties = ties,
            Variant::Gelu(gelu) => self.gelu = Some(gelu),
            Variant::LayerNorm(variance) => self.layer_norm = variance,
            Variant::Normalize(normalize) => self.normalize = normalize,
        }
    }
}

impl Numerics {
    /// How the module at `path` computes.
    pub fn at(&self, path: &str) -> Arithmetic {
        let mut arithmetic = Arithmetic::default();
        self.variants
            .iter()
            .for_each(|variant| arithmetic.set(*variant));
        for patch in &self.patches {
            if let Change::Variant(variant) = patch.change
                && patch.at.covers(path)
            {
                arithmetic.set(variant);
            }
        }
        arithmetic
    }

    /// How a stage after the encoder computes: as patches at its name say, and by no variant for all
    /// modules but `ties=`, which is no module's.
    pub fn at_stage(&self, stage: &str) -> Arithmetic {
        let patches = self.patches.iter().filter(|patch| patch.at.names(stage));
        let ties = |variant: &&Variant| matches!(variant, Variant::Ties(_));
        let of_stage = Numerics {
            variants: self.variants.iter().filter(ties).copied().collect(),
            patches: patches.cloned().collect(),
        };
        of_stage.at(stage)
    }

    /// Whether the module at `path` is cut out.
    pub fn is_identity(&self, path: &str) -> bool {
        self.patches
            .iter()
            .any(|patch| patch.change == Change::Identity && patch.at.names(path))
    }

    /// The variants of all modules, then those that are placed at some.
    pub fn all_variants(&self) -> impl Iterator<Item = Variant> {
        let placed = self
            .patches
            .iter()
            .filter_map(|patch| patch.change.variant());
        self.variants.iter().copied().chain(placed)
    }

    /// The variants that modules of the encoder compute in, those of stages after it left out.
    pub fn encoder_variants(&self) -> impl Iterator<Item = Variant> {
        let of_stage = |patch: &&Patch| STAGES.iter().any(|stage| patch.at.names(stage));
        let placed = self.patches.iter().filter(move |patch| !of_stage(patch));
        let placed = placed.filter_map(|patch| patch.change.variant());
        self.variants.iter().copied().chain(placed)
    }

    /// Whether a passage's embeddings are the same in every batch. All of the project's own orders are
    /// so; a third-party product answers for itself.
    pub fn is_batch_invariant(&self) -> bool {
        let depends = |variant: &Variant| {
            matches!(
                variant,
                Variant::Gemm(Gemm::Library(_)) | Variant::GemmFrom { .. }
            )
        };
        let mut placed = self.patches.iter();
        !self.variants.iter().any(depends)
            && !placed.any(|patch| match &patch.change {
                Change::Variant(variant) => depends(variant),
                Change::Identity => false,
            })
    }

    /// Every option as the command line has it.
    pub fn options(&self) -> Vec<String> {
        let variants = self.variants.iter().map(Variant::to_string);
        variants
            .chain(self.patches.iter().map(Patch::to_string))
            .collect()
    }
}

/// An option that names no variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// There is no such operation or change.
    #[error(
        "unknown option `{0}`: variants are gemm=…, gelu=…, layer_norm=…, normalize=…, and identity at a module"
    )]
    UnknownOption(String),
    #[error("unknown value `{value}` of {option}: choose one of {choices}")]
    UnknownValue {
        option: &'static str,
        value: String,
        choices: &'static str,
    },
    /// A patch without its module or its change.
    #[error(
        "`{0}` is no patch: write MODULE:VARIANT, such as bert.encoder.layer.4.output.dense:gemm=split-k:3"
    )]
    NotAPatch(String),
}

const GEMMS: &str = "native, split-k:N, chunk:N, matrixmultiply, gemm, openblas (in a program built with \
                     `--features openblas`), each also with @ROWS behind it, for batches of so many rows and \
                     more";

/// `split-k:4`, or `split-k:4@640`.
fn parse_product(value: &str) -> Option<Variant> {
    let Some((gemm, rows)) = value.split_once('@') else {
        return parse_gemm(value).map(Variant::Gemm);
    };
    Some(Variant::GemmFrom {
        gemm: parse_gemm(gemm)?,
        rows: rows.parse().ok()?,
    })
}

fn parse_gemm(value: &str) -> Option<Gemm> {
    let count = |text: &str| {
        text.parse::<usize>()
            .ok()
            .filter(|n| (1..=1 << 20).contains(n))
    };
    match value.split_once(':') {
        None if value == "native" => Some(Gemm::Native),
        None => {
            let mut libraries = Library::ALL.iter();
            let library = libraries.find(|library| library.name() == value)?;
            Some(Gemm::Library(*library))
        }
        Some(("split-k", n)) => count(n).map(Gemm::SplitK),
        Some(("chunk", n)) => count(n).map(Gemm::Chunk),
        _ => None,
    }
}

impl FromStr for Variant {
    type Err = VariantError;

    fn from_str(text: &str) -> Result<Variant, VariantError> {
        let unknown = || VariantError::UnknownOption(text.to_owned());
        let (option, value) = text.split_once('=').ok_or_else(unknown)?;
        let (option, choices, variant) = match option {
            "gemm" => ("gemm", GEMMS, parse_product(value)),
            "ties" => {
                let ties = match value {
                    "first" => Some(Ties::First),
                    "last" => Some(Ties::Last),
                    _ => None,
                };
                ("ties", "first, last", ties.map(Variant::Ties))
            }
            "gelu" => {
                let form = match value {
                    "erf" => Some(Gelu::Erf),
                    "tanh" => Some(Gelu::Tanh),
                    _ => None,
                };
                ("gelu", "erf, tanh", form.map(Variant::Gelu))
            }
            "layer_norm" => {
                let variance = match value {
                    "two-pass" => Some(Variance::TwoPass),
                    "one-pass" => Some(Variance::OnePass),
                    _ => None,
                };
                (
                    "layer_norm",
                    "two-pass, one-pass",
                    variance.map(Variant::LayerNorm),
                )
            }
            "normalize" => {
                let form = match value {
                    "divide" => Some(Normalize::Divide),
                    "rsqrt" => Some(Normalize::Rsqrt),
                    _ => None,
                };
                ("normalize", "divide, rsqrt", form.map(Variant::Normalize))
            }
            _ => return Err(unknown()),
        };
        variant.ok_or_else(|| VariantError::UnknownValue {
            option,
            value: value.to_owned(),
            choices,
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Gemm(gemm) => write!(f, "gemm={gemm}"),
            Variant::GemmFrom { gemm, rows } => write!(f, "gemm={gemm}@{rows}"),
            Variant::Ties(Ties::First) => f.write_str("ties=first"),
            Variant::Ties(Ties::Last) => f.write_str("ties=last"),
            Variant::Gelu(Gelu::Erf) => f.write_str("gelu=erf"),
            Variant::Gelu(Gelu::Tanh) => f.write_str("gelu=tanh"),
            Variant::LayerNorm(Variance::TwoPass) => f.write_str("layer_norm=two-pass"),
            Variant::LayerNorm(Variance::OnePass) => f.write_str("layer_norm=one-pass"),
            Variant::Normalize(form) => write!(f, "normalize={form}"),
        }
    }
}

impl FromStr for Patch {
    type Err = VariantError;

    fn from_str(text: &str) -> Result<Patch, VariantError> {
        let parts = text
            .split_once(':')
            .filter(|(at, change)| !at.is_empty() && !change.is_empty());
        let (at, change) = parts.ok_or_else(|| VariantError::NotAPatch(text.to_owned()))?;
        let change = match change {
            "identity" => Change::Identity,
            variant => Change::Variant(variant.parse()?),
        };
        Ok(Patch {
            at: ModulePattern::new(at),
            change,
        })
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            Change::Identity => write!(f, "{}:identity", self.at),
            Change::Variant(variant) => write!(f, "{}:{variant}", self.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_as_what_they_were() {
        for word in [
            "gemm=native",
            "gemm=matrixmultiply",
            "gemm=gemm",
            #[cfg(feature = "openblas")]
            "gemm=openblas",
            "gemm=split-k:4",
            "gemm=chunk:112",
            "gemm=split-k:3@640",
            "ties=last",
            "gelu=erf",
            "gelu=tanh",
            "layer_norm=one-pass",
            "layer_norm=two-pass",
            "normalize=rsqrt",
            "normalize=divide",
        ] {
            assert_eq!(word.parse::<Variant>().unwrap().to_string(), word);
        }
        for word in [
            "bert.encoder.layer.4.output.dense:gemm=split-k:3",
            "bert.*.layer.*.intermediate.dense:identity",
        ] {
            assert_eq!(word.parse::<Patch>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn an_unknown_value_is_answered_with_those_that_exist() {
        for (word, said) in [
            ("gemm=mkl", "matrixmultiply"),
            #[cfg(not(feature = "openblas"))]
            ("gemm=openblas", "--features openblas"),
            ("gemm=split-k:0", "split-k:N"),
            ("gemm=chunk:x", "chunk:N"),
            ("gemm=chunk:7@many", "@ROWS"),
            ("ties=middle", "first, last"),
            ("gelu=fast", "erf, tanh"),
            ("layer_norm=", "one-pass"),
            ("normalize=l1", "rsqrt"),
            ("gem=1", "gelu="),
        ] {
            let error = word.parse::<Variant>().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        for word in ["linear", ":identity", "linear:", "linear:idendity"] {
            assert!(word.parse::<Patch>().is_err(), "{word}");
        }
    }

    #[test]
    fn a_patch_counts_at_its_modules_and_inside_them() {
        let numerics = Numerics {
            variants: vec!["gemm=chunk:7".parse().unwrap()],
            patches: vec!["bert.encoder.layer.1:gemm=split-k:2".parse().unwrap()],
        };
        assert_eq!(
            numerics.at("bert.encoder.layer.0.output.dense").gemm,
            Gemm::Chunk(7)
        );
        assert_eq!(
            numerics.at("bert.encoder.layer.1.output.dense").gemm,
            Gemm::SplitK(2)
        );
        assert!(numerics.is_batch_invariant());
    }

    #[test]
    fn a_product_for_large_batches_depends_on_their_rows() {
        let numerics = Numerics {
            variants: vec!["gemm=split-k:3@640".parse().unwrap()],
            patches: Vec::new(),
        };
        let arithmetic = numerics.at("linear");
        assert_eq!(arithmetic.gemm_for(639), Gemm::Native);
        assert_eq!(arithmetic.gemm_for(640), Gemm::SplitK(3));
        assert!(!numerics.is_batch_invariant());
    }

    #[test]
    fn a_stage_after_the_encoder_computes_as_its_own_patches_say() {
        let numerics = Numerics {
            variants: vec!["normalize=rsqrt".parse().unwrap()],
            patches: vec!["compress:ties=last".parse().unwrap()],
        };
        assert_eq!(numerics.at_stage("cluster"), Arithmetic::default());
        assert_eq!(numerics.at_stage("compress").ties, Ties::Last);
        assert_eq!(numerics.at_stage("compress").normalize, Normalize::Divide);
    }
}
