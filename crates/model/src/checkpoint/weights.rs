//! The tensors of a checkpoint, by the reference's names.

use std::collections::{BTreeMap, BTreeSet};

use concord_tensor::{DType, FileError, Tensor, TensorError, TensorSource};
use thiserror::Error;

use crate::architecture::{Architecture, Parameter, head};

const POOLER: [&str; 2] = ["bert.pooler.dense.weight", "bert.pooler.dense.bias"];
/// What the name of a matrix in four bits is followed by in that of its scales.
const SCALE: &str = "_scale";

/// All tensors that a ColBERT encoder computes with, in `f32`, with the shapes that its
/// configuration asks for.
///
/// The names are those of the reference's state dict, which the architecture lists.
#[derive(Debug, Clone)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    dim: usize,
    has_pooler: bool,
    ignored: Vec<String>,
    /// What the names in the file begin with beyond the reference's.
    prefix: &'static str,
}

/// What wrappers put in front of the names of a model's tensors: those of PyTorch's parallel training, and modules that
/// hold the model under a name.
const PREFIXES: [&str; 4] = ["module.", "model.", "module.model.", "model.module."];

/// Why a set of tensors is not that of the configured encoder.
#[derive(Debug, Error)]
pub enum WeightsError {
    #[error("{count} tensors are missing, the first is {first:?}{hint}", count = missing.len(), first = missing[0])]
    Missing {
        /// Their names, in the order of the modules; at least one.
        missing: Vec<String>,
        /// What the names that are there suggest, or nothing.
        hint: &'static str,
    },
    /// The encoder is there, but not ColBERT's projection.
    #[error(
        "there is no linear.weight: this is a BERT encoder without ColBERT's projection, not a ColBERT checkpoint"
    )]
    NoProjection,
    /// A tensor of another shape than the configuration says.
    #[error("{name:?} has the shape {found:?}, but by config.json it should have {expected:?}")]
    Shape {
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    /// A projection that is not a matrix with `hidden_size` columns.
    #[error("\"linear.weight\" has the shape {found:?}; it should have (dim, {hidden})")]
    ProjectionShape { hidden: usize, found: Vec<usize> },
    /// A tensor whose elements cannot be widened to `f32` without loss.
    #[error(
        "{name:?} holds {dtype} elements; weights are read from f32, f16 and bf16, and matrices from four bits with scales"
    )]
    ElementType { name: String, dtype: DType },
    /// A matrix in four bits whose scales are missing or do not fit it.
    #[error("{name:?} holds four-bit levels of {expected:?} weights; {problem}")]
    Scales {
        name: String,
        expected: Vec<usize>,
        problem: String,
    },
    /// A tensor that is there under its present name and under another of its names.
    #[error(
        "{name:?} is there twice, also under the old name of its kind (gamma or beta) or with a wrapper's prefix"
    )]
    Twice { name: String },
    /// A weight that is NaN or infinite, after which every embedding would be.
    #[error(
        "{name:?} is {value} at {index:?}: with weights that are no finite numbers every embedding would be \
         nonsense; the file is damaged, or the training diverged"
    )]
    NotFinite {
        name: String,
        /// The element's index in each dimension, from 0.
        index: Vec<usize>,
        value: f32,
    },
    #[error("{0}")]
    Read(#[from] FileError),
    #[error("{name:?}: {source}")]
    Widen { name: String, source: TensorError },
}

impl Weights {
    /// The weights among `tensors`, given by name.
    ///
    /// `LayerNorm.gamma` and `LayerNorm.beta`, as the oldest checkpoints have them, are read as
    /// `weight` and `bias`. Where all names that are needed have one prefix of a wrapper, such as `module.`, they are
    /// read without it. A matrix `(rows, columns)` of the encoder may be stored in four bits: `NAME` holds `u8`
    /// of `(rows, columns / 2)`, two levels each, the lower half first, and `NAME_scale` holds `f16`
    /// or `f32` of `(rows, groups)`, one for each `columns / groups` neighbours. A weight is
    /// `(level - 8) · scale`, rounded once. The pooler, the heads of pretraining (`cls.…`) and whatever else the
    /// encoder does not use is left out.
    ///
    /// # Errors
    /// [`WeightsError`]: something is missing or does not fit the architecture.
    pub fn new(
        architecture: &Architecture,
        tensors: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Weights, WeightsError> {
        collect(architecture, tensors)
    }

    /// As [`Weights::new`]; of the tensors in a file only those needed are read.
    pub(super) fn read(
        architecture: &Architecture,
        sources: impl IntoIterator<Item = (String, TensorSource)>,
    ) -> Result<Weights, WeightsError> {
        collect(architecture, sources)
    }

    /// The tensor called `name`, in `f32`. All parameters of the architecture are there.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The dimensions of an embedding: the rows of `linear.weight`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Whether the pooler's tensors were given, though they are not kept.
    pub fn has_pooler(&self) -> bool {
        self.has_pooler
    }

    /// Notices for the user: what was ignored and what is missing without harm.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.has_pooler {
            notices.push(
                "the checkpoint has no pooler: nothing is computed with it, but ColBERT would draw \
                 one at random, which changes how it shuffles its sample"
                    .to_owned(),
            );
        }
        if !self.prefix.is_empty() {
            notices.push(format!(
                "the names of the checkpoint's tensors begin with {:?}, which a wrapper of the model has put there: \
                 they are read without it",
                self.prefix
            ));
        }
        if let Some(first) = self.ignored.first() {
            let count = self.ignored.len();
            notices.push(format!(
                "the encoder does not use {count} tensors of the checkpoint, the first is {first:?}"
            ));
        }
        notices
    }
}

/// A tensor in memory or in a file.
trait Stored {
    fn dtype(&self) -> DType;
    fn shape(&self) -> &[usize];
    fn load(&self) -> Result<Tensor, FileError>;
}

impl Stored for Tensor {
    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn shape(&self) -> &[usize] {
        self.shape()
    }

    fn load(&self) -> Result<Tensor, FileError> {
        Ok(self.clone())
    }
}

impl Stored for TensorSource {
    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn shape(&self) -> &[usize] {
        self.shape()
    }

    fn load(&self) -> Result<Tensor, FileError> {
        self.read()
    }
}

fn collect<S: Stored>(
    architecture: &Architecture,
    stored: impl IntoIterator<Item = (String, S)>,
) -> Result<Weights, WeightsError> {
    let (mut stored, prefix) = without_prefix(architecture, by_present_name(stored)?)?;
    let projection = projection(architecture, &stored)?;
    let dim = embedding_width(projection, stored[&projection.name].shape())?;
    let has_pooler = POOLER.iter().all(|name| stored.contains_key(*name));
    let mut tensors = BTreeMap::new();
    for parameter in architecture.parameters() {
        // `projection` has seen that it is there.
        let Some(tensor) = stored.remove(&parameter.name) else {
            continue;
        };
        let name = parameter.name.clone();
        let size = |size: &Option<usize>| size.unwrap_or(dim);
        let shape: Vec<usize> = parameter.shape.iter().map(size).collect();
        let weight = if tensor.dtype() == DType::U8 && shape.len() == 2 {
            let scale = stored.remove(&format!("{name}{SCALE}"));
            from_four_bits(&name, &shape, &tensor, scale.as_ref())?
        } else {
            widened(&name, &shape, &tensor)?
        };
        check_finite(&name, &weight)?;
        tensors.insert(name, weight);
    }
    let ignored = stored.into_keys().filter(|name| !is_expected_extra(name));
    Ok(Weights {
        tensors,
        dim,
        has_pooler,
        ignored: ignored.collect(),
        prefix,
    })
}

/// Tensors that checkpoints commonly have and that the reference, too, passes over in silence.
fn is_expected_extra(name: &str) -> bool {
    name.contains("cls")
        || POOLER.contains(&name.strip_suffix(SCALE).unwrap_or(name))
        || name == "bert.embeddings.position_ids"
        || name == "bert.embeddings.token_type_ids"
}

fn by_present_name<S>(
    stored: impl IntoIterator<Item = (String, S)>,
) -> Result<BTreeMap<String, S>, WeightsError> {
    let mut by_name = BTreeMap::new();
    for (name, tensor) in stored {
        let name = match name.rsplit_once('.') {
            Some((module, "gamma")) => format!("{module}.weight"),
            Some((module, "beta")) => format!("{module}.bias"),
            _ => name,
        };
        if by_name.contains_key(&name) {
            return Err(WeightsError::Twice { name });
        }
        by_name.insert(name, tensor);
    }
    Ok(by_name)
}

/// The tensors by the reference's names, and the prefix that all of those had that the architecture needs, if the names
/// differ in nothing else.
fn without_prefix<S>(
    architecture: &Architecture,
    stored: BTreeMap<String, S>,
) -> Result<(BTreeMap<String, S>, &'static str), WeightsError> {
    let all_begin_with = |prefix: &str| {
        let mut needed = architecture.parameters();
        needed.all(|parameter| stored.contains_key(&format!("{prefix}{}", parameter.name)))
    };
    let found = PREFIXES.into_iter().find(|prefix| all_begin_with(prefix));
    let Some(prefix) = found.filter(|_| !all_begin_with("")) else {
        return Ok((stored, ""));
    };
    let plain = stored.into_iter().map(|(name, tensor)| {
        let plain = name.strip_prefix(prefix).map(str::to_owned);
        (plain.unwrap_or(name), tensor)
    });
    Ok((by_present_name(plain)?, prefix))
}

/// ColBERT's projection `(dim, hidden)`, once it is sure that no parameter is missing.
fn projection<'a, S>(
    architecture: &'a Architecture,
    stored: &BTreeMap<String, S>,
) -> Result<&'a Parameter, WeightsError> {
    let module = architecture.module(head::LINEAR);
    let projection = module
        .and_then(|module| module.parameters.first())
        .ok_or(WeightsError::NoProjection)?;
    let missing: Vec<String> = architecture
        .parameters()
        .filter(|parameter| *parameter != projection && !stored.contains_key(&parameter.name))
        .map(|parameter| parameter.name.clone())
        .collect();
    if missing.is_empty() {
        return match stored.contains_key(&projection.name) {
            true => Ok(projection),
            false => Err(WeightsError::NoProjection),
        };
    }
    let present: BTreeSet<&str> = stored.keys().map(String::as_str).collect();
    let hint = hint(&missing[0], &present);
    Err(WeightsError::Missing { missing, hint })
}

/// `dim`, which no configuration says, of a projection with the shape `found`.
fn embedding_width(projection: &Parameter, found: &[usize]) -> Result<usize, WeightsError> {
    match (found, &projection.shape[..]) {
        (&[dim, inputs], &[None, Some(hidden)]) if dim > 0 && inputs == hidden => Ok(dim),
        _ => Err(WeightsError::ProjectionShape {
            hidden: projection.shape.last().copied().flatten().unwrap_or(0),
            found: found.to_vec(),
        }),
    }
}

/// What is there in place of `missing`.
fn hint(missing: &str, present: &BTreeSet<&str>) -> &'static str {
    let plain = missing.strip_prefix("bert.").unwrap_or(missing);
    if present.contains(plain) {
        return "; the names lack the prefix \"bert.\", so this is a plain BertModel and not a \
                ColBERT checkpoint";
    }
    if present.contains(format!("module.{missing}").as_str()) {
        return "; the names have the prefix \"module.\" of a model saved inside its parallel \
                wrapper: save the wrapped model instead";
    }
    ""
}

/// The tensor in `f32`, if it has `shape`.
fn widened(name: &str, shape: &[usize], stored: &impl Stored) -> Result<Tensor, WeightsError> {
    check_shape(name, shape, stored)?;
    let dtype = stored.dtype();
    if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
        let name = name.to_owned();
        return Err(WeightsError::ElementType { name, dtype });
    }
    let widened = stored.load()?.cast(DType::F32);
    widened.map_err(|source| WeightsError::Widen {
        name: name.to_owned(),
        source,
    })
}

/// The matrix of four-bit levels times their scales, in `f32`, if it has `shape`.
fn from_four_bits<S: Stored>(
    name: &str,
    shape: &[usize],
    stored: &S,
    scales: Option<&S>,
) -> Result<Tensor, WeightsError> {
    let wrong = |problem: String| WeightsError::Scales {
        name: name.to_owned(),
        expected: shape.to_vec(),
        problem,
    };
    let widen = |source| WeightsError::Widen {
        name: name.to_owned(),
        source,
    };
    let (rows, columns) = (shape[0], shape[1]);
    if stored.shape() != [rows, columns / 2] || columns % 2 == 1 {
        return Err(wrong(format!("it has the shape {:?}", stored.shape())));
    }
    let scales = scales.ok_or_else(|| wrong(format!("there is no {name}{SCALE}")))?;
    let groups = match (scales.dtype(), scales.shape()) {
        (DType::F16 | DType::F32, &[of, groups])
            if of == rows && groups > 0 && columns % (2 * groups) == 0 =>
        {
            groups
        }
        (dtype, shape) => {
            return Err(wrong(format!(
                "{name}{SCALE} holds {dtype} of the shape {shape:?}"
            )));
        }
    };
    let (levels, scales) = (
        stored.load()?,
        scales.load()?.cast(DType::F32).map_err(widen)?,
    );
    let levels = levels.as_slice::<u8>().map_err(widen)?;
    let scales = scales.as_slice::<f32>().map_err(widen)?;
    let mut weights = vec![0.0; rows * columns];
    let of_groups = weights.chunks_mut(columns / groups);
    for ((weights, pairs), &scale) in of_groups
        .zip(levels.chunks(columns / 2 / groups))
        .zip(scales)
    {
        let weight = |level: u8| (f32::from(level) - 8.0) * scale;
        // Written in place and not pushed two by two: a program that searches does this for every weight before
        // its first answer.
        for (weights, pair) in weights.chunks_exact_mut(2).zip(pairs) {
            weights[0] = weight(pair & 15);
            weights[1] = weight(pair >> 4);
        }
    }
    Tensor::new(shape, weights).map_err(widen)
}

fn check_finite(name: &str, weight: &Tensor) -> Result<(), WeightsError> {
    let Some(at) = weight.first_non_finite() else {
        return Ok(());
    };
    let widened = weight.as_slice::<f32>();
    Err(WeightsError::NotFinite {
        name: name.to_owned(),
        index: weight.index_of(at),
        value: widened.map_or(f32::NAN, |weights| weights[at]),
    })
}

fn check_shape(name: &str, shape: &[usize], stored: &impl Stored) -> Result<(), WeightsError> {
    if stored.shape() == shape {
        return Ok(());
    }
    Err(WeightsError::Shape {
        name: name.to_owned(),
        expected: shape.to_vec(),
        found: stored.shape().to_vec(),
    })
}
