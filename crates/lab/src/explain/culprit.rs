//! Modules that compute something else.

use concord_model::architecture::Operation;
use serde::{Deserialize, Serialize};

use super::masks::MaskPair;
use super::options::OptionKind;
use super::referee::Errors;
use super::shapes::ShapePair;

/// A module that computes something else on the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Culprit {
    pub module: String,
    pub operation: Operation,
    /// The width of its output.
    pub width: usize,
    /// Passages for which its output differs.
    pub passages: usize,
    /// Of how many.
    pub of: usize,
    /// Elements that differ.
    pub elements: usize,
    /// Of how many.
    pub elements_of: usize,
    /// The largest absolute difference.
    pub max_abs: f64,
    /// The largest difference in units in the last place.
    pub worst_ulps: Option<u64>,
    /// Which sides give back what they read, as a module does that is cut out.
    pub cut_out: [bool; 2],
    /// Which sides cut it out by their options. Of several inputs it then gives their sum, which is none of them.
    pub left_out: [bool; 2],
    /// The attention masks that the two were given, where they are not the same; `None` where they are, or are not
    /// known.
    pub other_masks: Option<OtherMasks>,
    /// The batches in which both sides had one of the passages for which it differs.
    pub shapes: Option<ShapePair>,
    /// Whether the first side, in the second side's batches, differs from itself here; `None` where both had the
    /// same batches.
    pub by_shape: Option<bool>,
    /// Whether the second side, in the first side's batches, still differs from it here; `None` as before.
    pub in_same_shape: Option<bool>,
    /// The kinds of options that make the first side differ here from itself when it takes them, and them alone, over
    /// from the second; `None` where no more than one kind differs, or they could not be taken over one by one.
    pub by_options: Option<Vec<ByOption>>,
    /// Whether a side disagrees with itself here, run twice on the same inputs.
    pub random: [bool; 2],
    /// How far each side is from the same module in double precision; `None` without a referee.
    pub errors: Option<Errors>,
}

/// Attention masks that are not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherMasks {
    /// Those of the first passage.
    pub first: MaskPair,
    /// How many of the passages for which the module differs have other masks.
    pub passages: usize,
    /// Whether all of them have.
    pub wholly: bool,
}

/// A kind of option that makes the first side differ from itself at a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByOption {
    pub kind: OptionKind,
    /// Whether the first side then gives what the second gives, bit for bit.
    pub wholly: bool,
}

impl Culprit {
    /// Whether the two sides differ here by more than the shapes of their batches.
    pub fn by_code(&self) -> bool {
        self.in_same_shape.unwrap_or(true) || self.by_shape == Some(false)
    }

    /// Whether both sides compute anything here: one that is cut out has no way of doing it.
    pub fn computes(&self) -> bool {
        self.cut_out == [false; 2] && self.left_out == [false; 2]
    }
}
