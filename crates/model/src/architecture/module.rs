//! A module of a model.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A row of a table for each token.
    Lookup,
    /// The sum of the embeddings or of a residual, and layer normalisation.
    LayerNorm,
    /// A linear layer: products of rows with a matrix, and a bias.
    Linear,
    /// Attention within each passage: scores, softmax, weighted sums.
    Attention,
    /// The activation of the feed-forward part.
    Gelu,
    /// Setting the rows of tokens that are not kept to zero.
    Mask,
    /// Bringing rows to unit length.
    Normalize,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Lookup => "table lookup",
            Operation::LayerNorm => "addition and layer normalisation",
            Operation::Linear => "linear layer",
            Operation::Attention => "attention",
            Operation::Gelu => "GELU",
            Operation::Mask => "mask",
            Operation::Normalize => "normalisation to unit length",
        })
    }
}

/// A module at which there is a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path, as `transformers` has it: `bert.encoder.layer.3.output.dense`.
    pub path: String,
    /// `None` where it hands on what a module inside it computed.
    pub operation: Option<Operation>,
    /// The paths of the modules whose outputs it reads, or of the one whose output it hands on. None of
    /// these hands on itself. Empty for those that read tokens.
    pub reads: Vec<String>,
    /// Those that it computes with, in the order of the reference's state dict.
    pub parameters: Vec<Parameter>,
    /// Whether it can be cut out, so that it gives back what it reads.
    pub removable: bool,
}

impl Module {
    /// Whether it hands on what a module inside it computed, and computes nothing itself.
    pub fn hands_on(&self) -> bool {
        self.operation.is_none()
    }

    /// The parameter that is called `path.name`.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        let of = |parameter: &&Parameter| {
            let rest = parameter.name.strip_prefix(&self.path);
            rest.and_then(|rest| rest.strip_prefix('.')) == Some(name)
        };
        self.parameters.iter().find(of)
    }
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the reference's state dict: `bert.encoder.layer.3.output.dense.weight`.
    pub name: String,
    /// The size of each dimension; `None` where nothing but the checkpoint's tensor says it.
    pub shape: Vec<Option<usize>>,
}
