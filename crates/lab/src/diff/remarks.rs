//! Where two builds say that they started from something else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use concord_engine::graph;
use concord_engine::index_settings::{is_size, said_again};
use concord_subject::torch::DEPARTURES;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::side::{Holding, Side, SideError};

/// Something that the two sides were told, and told differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    pub about: About,
    /// Its name: `checkpoint`, `nbits`, …
    pub name: String,
    /// What the first side has; `None` where it says nothing of it, which is no [difference](Remark::is_difference) but
    /// for artifacts that were given.
    pub a: Option<String>,
    /// What the second has.
    pub b: Option<String>,
}

/// What a remark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// An input, by its hash.
    Input,
    /// An option that the results depend on.
    Option,
    /// The version of the numeric contract.
    Contract,
    /// That the run of this name has no hashes of its files, so that nobody can tell whether they were altered.
    Unsealed,
}

impl Remark {
    /// Whether the two are known to have been told differently. What one side does not state is not known of it; but
    /// a side that names its inputs and no artifact among them has computed that artifact, and one that Concord
    /// recorded says in what its environment departs from others.
    pub fn is_difference(&self) -> bool {
        let both = self.a.is_some() && self.b.is_some();
        both || swapped(&self.name).is_some() || self.name == DEPARTURES
    }

    /// Whether it is of something that one side alone states.
    fn is_one_sided(&self) -> bool {
        matches!(self.about, About::Input | About::Option) && !self.is_difference()
    }

    fn unsealed(side: &Side) -> Remark {
        Remark {
            about: About::Unsealed,
            name: side.name(),
            a: None,
            b: None,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        if self.is_one_sided() {
            let what = match self.about {
                About::Option => format!("option `{name}`"),
                _ => format!("the {name}"),
            };
            let (value, silent, says) = match (&self.a, &self.b) {
                (Some(value), _) => (value.as_str(), "B", "A"),
                (None, value) => (value.as_deref().unwrap_or_default(), "A", "B"),
            };
            return write!(f, "{what} is not stated by {silent} ({says}: {value})");
        }
        let none = if swapped(name).is_some() {
            "computed"
        } else {
            "none"
        };
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| none.to_owned());
        let (a, b) = (side(&self.a), side(&self.b));
        match self.about {
            About::Input if name == CHECKPOINT_FILES => {
                write!(f, "the files of the checkpoints differ ({a} and {b})")
            }
            About::Input => write!(f, "the {name}s differ ({a} and {b})"),
            About::Option => write!(f, "option `{name}` differs ({a} and {b})"),
            About::Contract => {
                write!(
                    f,
                    "the versions of the numeric contract differ ({a} and {b})"
                )
            }
            About::Unsealed => write!(
                f,
                "{name} was recorded without SHA256SUMS: its values are checked against their hashes, its events \
                 and manifest cannot be"
            ),
        }
    }
}

/// What a manifest calls an artifact that was given instead of computed: the artifact behind this.
const SWAP: &str = "swap ";

/// The artifact that an input stands for which was given instead of computed.
pub(crate) fn swapped(input: &str) -> Option<&str> {
    input.strip_prefix(SWAP)
}

/// The checkpoint by its content, whatever files it lies in.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The checkpoint by its files, which is all that the agent by itself can say of it.
pub(crate) const CHECKPOINT_FILES: &str = "checkpoint_files";

/// Options that are written down only where the results depend on them.
const WHERE_IT_MATTERS: [&str; 1] = ["batch"];

/// What a side says of how it was made.
#[derive(Default)]
struct Told {
    contract: Option<u32>,
    inputs: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
}

/// Remarks on what the two sides say differently of how they were made; files say nothing.
///
/// Sides of different kinds do not name the same things, so of those only what both name is compared. An option
/// that a build writes down only where its results depend on it, as they do on the batch in some variants, is no
/// difference where the other has none: whatever it was there, default or not, has no part in the results. What one
/// of two sides of a kind states and the other does not is told, and is no [difference](Remark::is_difference).
///
/// Of two indexes the settings are compared by which they are read, but no sizes where `rows_differ`: they follow.
pub(super) fn remarks(a: &Side, b: &Side, rows_differ: bool) -> Result<Vec<Remark>, SideError> {
    let same_kind = a.kind() == b.kind();
    let (mut told_a, mut told_b) = (told(a), told(b));
    if let (Some(a), Some(b)) = (a.index(), b.index()) {
        let counts = |(name, _): &(String, String)| !(rows_differ && is_size(name));
        told_a
            .options
            .extend(a.settings()?.into_iter().filter(counts));
        told_b
            .options
            .extend(b.settings()?.into_iter().filter(counts));
    }
    let unsealed = |side: &&Side| side.run().is_some_and(|run| !run.is_sealed());
    let mut remarks: Vec<Remark> = [a, b]
        .into_iter()
        .filter(unsealed)
        .map(Remark::unsealed)
        .collect();
    let (mut a, mut b) = (told_a, told_b);
    one_rule(&mut a.inputs, &mut b.inputs);
    if let (Some(version_a), Some(version_b)) = (a.contract, b.contract)
        && version_a != version_b
    {
        remarks.push(Remark {
            about: About::Contract,
            name: "contract".to_owned(),
            a: Some(version_a.to_string()),
            b: Some(version_b.to_string()),
        });
    }
    for (about, a, b) in [
        (About::Input, &a.inputs, &b.inputs),
        (About::Option, &a.options, &b.options),
    ] {
        let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in names {
            let (a, b) = (a.get(name), b.get(name));
            let both = a.is_some() && b.is_some();
            let is_optional = about == About::Option && WHERE_IT_MATTERS.contains(&name.as_str());
            if a != b && (both || same_kind && !is_optional) {
                remarks.push(Remark {
                    about,
                    name: name.clone(),
                    a: a.cloned(),
                    b: b.cloned(),
                });
            }
        }
    }
    let again = |remark: &Remark| {
        said_again(&remark.name).is_some_and(|name| {
            let values = (&remark.a, &remark.b);
            remarks
                .iter()
                .any(|other| other.name == name && (&other.a, &other.b) == values)
        })
    };
    let said: Vec<bool> = remarks.iter().map(again).collect();
    let mut said = said.into_iter();
    remarks.retain(|_| said.next() == Some(false));
    Ok(remarks)
}

/// Leaves two checkpoints one hash to be compared by: that of their content where both have it, and else that of
/// their files where both have that.
fn one_rule(a: &mut BTreeMap<String, String>, b: &mut BTreeMap<String, String>) {
    let both = |name| a.contains_key(name) && b.contains_key(name);
    let other = match (both(CHECKPOINT), both(CHECKPOINT_FILES)) {
        (true, _) => CHECKPOINT_FILES,
        (false, true) => CHECKPOINT,
        (false, false) => return,
    };
    a.remove(other);
    b.remove(other);
}

/// Which of the remarks are on settings by which two indexes are read and searched.
pub(super) fn index_settings(
    a: &Side,
    b: &Side,
    remarks: &[Remark],
) -> Result<Vec<String>, SideError> {
    let (Some(a), Some(b)) = (a.index(), b.index()) else {
        return Ok(Vec::new());
    };
    let (a, b) = (a.settings()?, b.settings()?);
    let options = remarks
        .iter()
        .filter(|remark| remark.about == About::Option);
    let names = options.map(|remark| remark.name.clone());
    Ok(names
        .filter(|name| a.contains_key(name) || b.contains_key(name))
        .collect())
}

fn told(side: &Side) -> Told {
    match side.holding() {
        Holding::Run(run) => {
            let manifest = run.manifest();
            Told {
                contract: manifest.contract,
                inputs: texts(&manifest.inputs),
                options: texts(&manifest.options),
            }
        }
        Holding::Index(index) => match index.manifest() {
            Some(manifest) => Told {
                contract: Some(manifest.contract),
                inputs: texts(&manifest.inputs),
                options: texts(&manifest.options),
            },
            None => Told {
                options: graph_settings(|key| index.setting(key)),
                ..Told::default()
            },
        },
        Holding::File(_) => Told::default(),
    }
}

fn texts(named: &BTreeMap<String, impl ToString>) -> BTreeMap<String, String> {
    let text = |(name, value): (&String, _)| (name.clone(), ToString::to_string(value));
    named.iter().map(text).collect()
}

/// The settings that the bits of a ColBERT index depend on, as far as its `metadata.json` names them.
fn graph_settings<'a>(setting: impl Fn(&str) -> Option<&'a Json>) -> BTreeMap<String, String> {
    graph::settings()
        .into_iter()
        .filter_map(|name| {
            let value = setting(&format!("config.{name}"))?;
            Some((name.to_owned(), value.to_string()))
        })
        .collect()
}
