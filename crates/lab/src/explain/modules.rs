//! The modules of BERT that compute something, and what each reads.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a module computes.
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

/// A module that computes something itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path.
    pub path: String,
    /// What it computes.
    pub operation: Operation,
    /// The paths of the modules whose outputs it reads; empty for those that read tokens.
    pub reads: Vec<String>,
}

/// The paths within a layer, what is computed there, and what is read: paths within the same layer, or
/// the input of the layer where it is empty.
const IN_A_LAYER: [(&str, Operation, &[&str]); 10] = [
    (".attention.self.query", Operation::Linear, &[""]),
    (".attention.self.key", Operation::Linear, &[""]),
    (".attention.self.value", Operation::Linear, &[""]),
    (
        ".attention.self",
        Operation::Attention,
        &[
            ".attention.self.query",
            ".attention.self.key",
            ".attention.self.value",
        ],
    ),
    (
        ".attention.output.dense",
        Operation::Linear,
        &[".attention.self"],
    ),
    (
        ".attention.output.LayerNorm",
        Operation::LayerNorm,
        &[".attention.output.dense", ""],
    ),
    (
        ".intermediate.dense",
        Operation::Linear,
        &[".attention.output.LayerNorm"],
    ),
    (
        ".intermediate.intermediate_act_fn",
        Operation::Gelu,
        &[".intermediate.dense"],
    ),
    (
        ".output.dense",
        Operation::Linear,
        &[".intermediate.intermediate_act_fn"],
    ),
    (
        ".output.LayerNorm",
        Operation::LayerNorm,
        &[".output.dense", ".attention.output.LayerNorm"],
    ),
];

const EMBEDDED: &str = "bert.embeddings.LayerNorm";

/// The modules of a BERT with that many layers and the ColBERT head, in the order in which they compute.
///
/// Modules that hand on what another inside them computed (`attention.output`, a layer) are left out.
pub fn modules(layers: usize) -> Vec<Module> {
    let module = |path: &str, operation, reads: &[&str]| Module {
        path: path.to_owned(),
        operation,
        reads: reads.iter().map(|&read| read.to_owned()).collect(),
    };
    let (words, positions) = (
        "bert.embeddings.word_embeddings",
        "bert.embeddings.position_embeddings",
    );
    let mut modules = vec![
        module(words, Operation::Lookup, &[]),
        module(positions, Operation::Lookup, &[]),
        module(EMBEDDED, Operation::LayerNorm, &[words, positions]),
    ];
    let mut input = EMBEDDED.to_owned();
    for layer in 0..layers {
        let layer = format!("bert.encoder.layer.{layer}");
        for (path, operation, reads) in IN_A_LAYER {
            let read = |place: &&str| match *place {
                "" => input.clone(),
                place => format!("{layer}{place}"),
            };
            modules.push(Module {
                path: format!("{layer}{path}"),
                operation,
                reads: reads.iter().map(read).collect(),
            });
        }
        input = format!("{layer}.output.LayerNorm");
    }
    modules.push(module("linear", Operation::Linear, &[&input]));
    modules.push(module("mask", Operation::Mask, &["linear"]));
    modules.push(module("normalize", Operation::Normalize, &["mask"]));
    modules
}

/// The number of layers that the tapped paths speak of.
pub fn layers_of<'a>(paths: impl Iterator<Item = &'a str>) -> usize {
    let layers: BTreeSet<usize> = paths
        .filter_map(|path| {
            let rest = path.strip_prefix("bert.encoder.layer.")?;
            rest.split('.').next()?.parse().ok()
        })
        .collect();
    layers.last().map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_read_was_computed_before() {
        let modules = modules(3);
        assert_eq!(modules.len(), 3 + 3 * 10 + 3);
        for (at, module) in modules.iter().enumerate() {
            for read in &module.reads {
                let before = modules[..at].iter().any(|other| other.path == *read);
                assert!(before, "{} reads {read}", module.path);
            }
        }
    }

    #[test]
    fn layers_are_counted_by_their_numbers() {
        let paths = ["bert", "bert.encoder.layer.11.output", "linear"];
        assert_eq!(layers_of(paths.into_iter()), 12);
        assert_eq!(layers_of(["bert", "linear"].into_iter()), 0);
    }
}
