//! What a comparison of files says of the values in them that are no tensors.

use serde::{Deserialize, Serialize};

/// How the values came out that two files hold beside tensors: numbers, texts, containers and their keys.
///
/// Two values are the same if their types and contents are: `1`, `1.0` and `True` are three values, floats go by
/// their bits, the order of keys counts in an `OrderedDict` alone and that of a set's elements nowhere. Of a tensor
/// that means dtype, shape and bits: not its strides, its device, whether it wants a gradient or is a parameter.
/// An object of a class that is not known, which is never made, is the same if what the file says of it is: class,
/// arguments and state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuesDiff {
    /// How many pairs of values were compared, containers among them.
    pub compared: u64,
    /// How many differences there are.
    pub differing: u64,
    /// The differences, at most a thousand.
    pub differences: Vec<ValueDifference>,
    /// How many of the compared are objects of classes that are not known.
    pub opaque: u64,
    /// Their classes, at most ten.
    pub opaque_classes: Vec<String>,
    /// Names that differ in a prefix alone, and are taken for the same in comparing what they name.
    pub renamed: Vec<Renamed>,
    /// How many values were not compared because only one of two formats has room for such.
    pub not_compared: u64,
    /// Where it cannot be told whether the two are the same, at most a thousand places.
    pub unknown: Vec<String>,
}

/// A place at which two files hold something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueDifference {
    /// Where: `['opt']['lr']`; empty for the whole.
    pub path: String,
    /// What the first holds, in short; `None` where it has nothing there.
    pub a: Option<String>,
    /// What the second holds.
    pub b: Option<String>,
}

/// A container in which the names of one side have a prefix that those of the other lack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The path of the container; empty for the whole.
    pub path: String,
    pub prefix: String,
    /// Whether the first side has it, else the second.
    pub in_a: bool,
    /// How many names.
    pub names: usize,
}

/// The most differences and places that are listed.
pub(super) const MAX_LISTED: usize = 1_000;

/// The most classes that are named.
pub(super) const MAX_CLASSES: usize = 10;

impl ValuesDiff {
    /// Whether nothing is known to differ, names that were taken for the same included.
    pub(super) fn is_same(&self) -> bool {
        self.differing == 0 && self.renamed.is_empty()
    }

    pub(super) fn differ(&mut self, path: String, a: Option<String>, b: Option<String>) {
        self.differing += 1;
        if self.differences.len() < MAX_LISTED {
            self.differences.push(ValueDifference { path, a, b });
        }
    }

    pub(super) fn cannot_tell(&mut self, path: String) {
        if self.unknown.len() < MAX_LISTED {
            self.unknown.push(path);
        }
    }

    pub(super) fn opaque(&mut self, class: impl FnOnce() -> String) {
        self.opaque += 1;
        if self.opaque_classes.len() < MAX_CLASSES {
            let class = class();
            if !self.opaque_classes.contains(&class) {
                self.opaque_classes.push(class);
            }
        }
    }
}
