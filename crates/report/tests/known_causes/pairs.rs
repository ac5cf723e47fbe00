//! What two subjects differ in, and what is found of it: a row a pair. All that is found is in the row, so that
//! whatever is not there must not be named.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use concord_lab::Verdict;
use serde_json::Value as Json;

use crate::ask::{Answered, Sides};
use crate::clauses;
use crate::facts::Facts;
use crate::told;

/// A pair.
pub struct Pair {
    pub a: &'static str,
    pub b: &'static str,
    /// What is found, and nothing else.
    pub found: &'static [Found],
    /// Words of the sentence or the lines.
    pub says: &'static [&'static str],
    /// Words that are in neither.
    pub never: &'static [&'static str],
}

/// Something that is found.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A reason in the encoder, and the modules that have it; `*` stands for either layer.
    Why(&'static str, &'static [&'static [&'static str]]),
    /// A module inside which the side runs nothing.
    Nothing(&'static str, char),
    /// An artifact after the encoder whose stage makes something else.
    Stage(&'static str),
    /// An input that is not the same, by its kind.
    Input(&'static str),
    /// A module that departs on equal inputs, of runs that cannot be run again.
    Departs(&'static str),
    /// A module of attention that was given another mask.
    Mask(&'static str),
    /// A module that does not hand on what another computed.
    Between(&'static str, char),
}

pub const QKV: &[&str] = &[
    "bert.encoder.layer.*.attention.self.query",
    "bert.encoder.layer.*.attention.self.key",
    "bert.encoder.layer.*.attention.self.value",
];
/// The linear layers of 64 inputs that follow them.
pub const OF_64: &[&str] = &[
    "bert.encoder.layer.*.attention.output.dense",
    "bert.encoder.layer.*.intermediate.dense",
    "linear",
];
pub const OF_256: &[&str] = &["bert.encoder.layer.*.output.dense"];
pub const ATTENTION: &[&str] = &["bert.encoder.layer.*.attention.self"];
pub const GELU: &[&str] = &["bert.encoder.layer.*.intermediate.intermediate_act_fn"];
pub const NORMS: &[&str] = &[
    "bert.embeddings.LayerNorm",
    "bert.encoder.layer.*.attention.output.LayerNorm",
    "bert.encoder.layer.*.output.LayerNorm",
];
/// Every linear layer.
pub const LINEAR: &[&[&str]] = &[QKV, OF_64, OF_256];
/// What a half precision rounds.
pub const ROUNDED: &[&[&str]] = &[QKV, OF_64, OF_256, ATTENTION, GELU];

/// Asks why each pair of recordable subjects differs, and checks what is found and every clause that is printed.
#[track_caller]
pub fn check(pairs: &[Pair], sides: Sides) {
    // All are asked, so that one run shows every pair that fails.
    let failed = pairs.iter().filter(|pair| {
        let asked = AssertUnwindSafe(|| check_edited(pair, sides, &|_| ()));
        catch_unwind(asked).is_err()
    });
    let failed: Vec<String> = failed
        .map(|pair| format!("{} and {}", pair.a, pair.b))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The same of one pair whose runs `edit` changes before they are compared.
#[track_caller]
pub fn check_edited(pair: &Pair, sides: Sides, edit: &dyn Fn([&Path; 2])) {
    // What fails after this is said of this pair.
    println!("{} and {}", pair.a, pair.b);
    let answered = Answered::new(pair.a, pair.b, sides, edit);
    let facts = Facts::new(&answered);
    let mut expected: Vec<String> = pair.found.iter().map(Found::written).collect();
    let mut found = found(&facts);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected, "{} and {}", pair.a, pair.b);
    let same = answered.explanation.verdict == Verdict::Same;
    assert_eq!(same, pair.found.is_empty());
    let (sentence, lines) = clauses::check(&facts);
    let text = [vec![sentence], lines].concat().join("\n");
    for said in pair.says {
        assert!(text.contains(said), "no `{said}` in: {text}");
    }
    for never in pair.never {
        assert!(!text.contains(never), "`{never}` in: {text}");
    }
}

impl Found {
    fn written(&self) -> String {
        match self {
            Found::Why(why, places) => {
                let both = |path: &&str| match path.contains('*') {
                    true => vec![path.replace('*', "0"), path.replace('*', "1")],
                    false => vec![(*path).to_owned()],
                };
                let mut modules: Vec<String> = places
                    .iter()
                    .flat_map(|paths| paths.iter())
                    .flat_map(both)
                    .collect();
                modules.sort_unstable();
                format!("{why} at {}", modules.join(" "))
            }
            Found::Nothing(module, side) => format!("{side} runs nothing in {module}"),
            Found::Stage(artifact) => format!("stage of {artifact}"),
            Found::Input(kind) => format!("input {kind}"),
            Found::Departs(module) => format!("{module} departs"),
            Found::Mask(module) => format!("{module} is given another mask"),
            Found::Between(module, side) => format!("{module} alters on {side}"),
        }
    }
}

/// All that an explanation found, from its JSON.
fn found(facts: &Facts<'_>) -> Vec<String> {
    let json = &facts.json;
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let side = |sides: &Json| match [&sides[0], &sides[1]].map(|side| side.as_bool().unwrap()) {
        [true, false] => 'A',
        [false, true] => 'B',
        both => panic!("{both:?}"),
    };
    let mut found = Vec::new();
    for input in list(&json["inputs"]) {
        found.push(format!("input {}", input["kind"].as_str().unwrap()));
    }
    for artifact in facts.answered.explanation.culprits() {
        if artifact != "batches" {
            found.push(format!("stage of {artifact}"));
        }
    }
    let encoder = &json["encoder"];
    for between in list(&encoder["in_between"]) {
        let module = between["module"].as_str().unwrap();
        found.push(format!("{module} alters on {}", side(&between["sides"])));
    }
    for masks in list(&encoder["masks"]) {
        let modules = told::modules_of(&masks);
        found.extend(
            modules
                .iter()
                .map(|path| format!("{path} is given another mask")),
        );
    }
    let forced = &encoder["forced"];
    if forced.is_null() {
        for departure in list(&encoder["departures"]) {
            found.push(format!("{} departs", departure["module"].as_str().unwrap()));
        }
        return found;
    }
    for absent in list(&forced["absent"]) {
        let module = absent["module"].as_str().unwrap();
        found.push(format!(
            "{} runs nothing in {module}",
            side(&absent["sides"])
        ));
    }
    for cause in list(&forced["causes"]) {
        let why = &cause["why"];
        let kind = match why["kind"].as_str().unwrap() {
            "shape" => {
                let alone = if why["wholly"].as_bool().unwrap() {
                    ""
                } else {
                    " and code"
                };
                let dimensions = why["deciding"]["dimensions"].as_array().unwrap().iter();
                let dimensions: Vec<&str> = dimensions.map(|of| of.as_str().unwrap()).collect();
                let how = match why["deciding"]["how"].as_str().unwrap() {
                    "alone" => String::new(),
                    how => format!("{how} "),
                };
                let one = match (how.as_str(), dimensions.as_slice()) {
                    ("", [one]) => *one,
                    _ => "either",
                };
                assert_eq!(why["dimension"], one);
                format!("{how}{}{alone}", dimensions.join("+"))
            }
            "precision" => match why["wholly"].as_bool() {
                Some(false) => "precision and more".to_owned(),
                _ => "precision".to_owned(),
            },
            "cut_out" => format!("cut out on {}", side(&why["sides"])),
            "random" => format!("random on {}", side(&why["sides"])),
            "other_mask" => match why["wholly"].as_bool() {
                Some(true) => "mask".to_owned(),
                _ => "mask and more".to_owned(),
            },
            "left_out" => format!("left out on {}", side(&why["sides"])),
            other => other.to_owned(),
        };
        let mut modules = told::modules_of(&cause);
        modules.sort_unstable();
        found.push(format!("{kind} at {}", modules.join(" ")));
    }
    found
}
