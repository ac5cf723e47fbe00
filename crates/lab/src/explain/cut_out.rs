//! Modules that a side does not run, and modules that give back what they read.

use std::collections::BTreeSet;

use concord_model::architecture::Architecture;
use serde::{Deserialize, Serialize};

use super::outputs::Outputs;

/// A module inside which one side runs nothing of what the other runs there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The innermost module that both sides have around what is absent; empty where there is none.
    pub module: String,
    /// Whether it is absent on the first side and on the second.
    pub sides: [bool; 2],
    /// How many modules with an operation of their own are absent.
    pub modules: usize,
    /// Whether that side's module gives back what it reads, bit for bit.
    pub gives_back: bool,
}

/// What is absent on one of the sides. Both ran on the values of `inputs`.
pub(super) fn absent(
    architecture: &Architecture,
    sides: [&Outputs<'_>; 2],
    inputs: &Outputs<'_>,
) -> Vec<Absent> {
    let mut found: Vec<Absent> = Vec::new();
    for module in architecture.computing() {
        let [a, b] = sides.map(|side| side.has(&module.path));
        if a == b {
            continue;
        }
        let lacking = sides[usize::from(a)];
        let around = around(&module.path, lacking);
        let known = found
            .iter_mut()
            .find(|absent| absent.module == around && absent.sides == [!a, !b]);
        match known {
            Some(absent) => absent.modules += 1,
            None => found.push(Absent {
                gives_back: gives_back(architecture, &around, lacking, inputs),
                module: around,
                sides: [!a, !b],
                modules: 1,
            }),
        }
    }
    found
}

/// The innermost module around `path` that a side has.
fn around(path: &str, side: &Outputs<'_>) -> String {
    let mut path = path;
    while let Some((outer, _)) = path.rsplit_once('.') {
        if side.has(outer) {
            return outer.to_owned();
        }
        path = outer;
    }
    String::new()
}

/// Whether a side's module gives back one of the things that it reads; of a module with others inside, what these
/// read from outside.
pub(super) fn gives_back(
    architecture: &Architecture,
    path: &str,
    side: &Outputs<'_>,
    inputs: &Outputs<'_>,
) -> bool {
    let mut reads = reads_of(architecture, path).into_iter();
    reads.any(|read| side.gives_back(path, inputs, read))
}

/// What a module and those inside it read from outside of it.
fn reads_of<'a>(architecture: &'a Architecture, path: &str) -> BTreeSet<&'a str> {
    let inside = |other: &str| {
        let rest = other.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let modules = architecture.modules().iter();
    let modules = modules.filter(|module| inside(&module.path));
    let reads = modules.flat_map(|module| module.reads.iter().map(String::as_str));
    reads.filter(|read| !inside(read)).collect()
}
