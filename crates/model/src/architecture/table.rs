//! The form of an architecture's table.

use super::module::Operation;

/// The weights of a linear layer `(outputs, inputs)`, of a table, or of a layer normalisation.
pub const WEIGHT: &str = "weight";
/// What is added to the products of a linear layer, or after a layer normalisation.
pub const BIAS: &str = "bias";

/// The table of an architecture: what a model is made of before, in and after its layers. The
/// [head](super::head) follows.
#[derive(Debug)]
pub struct Table {
    /// `model_type` of its `config.json`.
    pub name: &'static str,
    /// What the path of a layer has before its number.
    pub layer: &'static str,
    /// From the tokens to what the first layer reads.
    pub before: &'static [Row],
    /// Of each layer. Paths are those inside the layer, and empty for the layer itself.
    pub in_layer: &'static [Row],
    /// Behind the last layer.
    pub after: &'static [Row],
}

/// A module, or one of every layer; see [`Module`](super::Module).
#[derive(Debug)]
pub struct Row {
    /// Inside a layer without the layer's.
    pub path: &'static str,
    /// `None` where it hands on what a module inside it computed.
    pub operation: Option<Operation>,
    /// In the order of the operation's operands, a residual last.
    pub reads: &'static [Input],
    /// Names and shapes. A name with a dot is a whole one; the others are under the module's path.
    pub parameters: &'static [(&'static str, &'static [Size])],
    /// Whether it can be cut out.
    pub removable: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// What goes into the layer, or comes out of the last one: the output of the last module there that
    /// computes something.
    States,
    /// The output of a module, by its path as the table has it.
    Of(&'static str),
}

/// A size that the configuration of a model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Rows of the table of words.
    Vocabulary,
    /// The most tokens of a sequence.
    Positions,
    /// Rows of the table of token types.
    TokenTypes,
    /// Numbers per token between layers.
    Hidden,
    /// Numbers per token inside the feed-forward part of a layer.
    Intermediate,
    /// The width of an embedding, which is that of the checkpoint's projection.
    Embedding,
}

impl Table {
    /// The path of a module inside a layer, or of the layer itself where `module` is empty.
    pub fn path_in_layer(&self, number: usize, module: &str) -> String {
        let dot = if module.is_empty() { "" } else { "." };
        format!("{}.{number}{dot}{module}", self.layer)
    }

    /// The number of the layer that a module lies in, and its path inside; that is empty for the layer
    /// itself.
    pub fn layer_of<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let rest = path.strip_prefix(self.layer)?.strip_prefix('.')?;
        let (number, inside) = rest.split_once('.').unwrap_or((rest, ""));
        Some((number.parse().ok()?, inside))
    }
}
