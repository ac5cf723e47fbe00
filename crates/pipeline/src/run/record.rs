//! What a recording keeps, and how it is written down.

use std::collections::{BTreeMap, BTreeSet};

use concord_tensor::{BitHash, DType, Durability};
use serde::{Deserialize, Serialize};

use crate::manifest::MANIFEST_VERSION;
use crate::observe::ArtifactEvent;
use crate::other_mask::OtherMask;
use crate::pattern::ModulePattern;
use crate::tap::TapRows;

/// What a recording keeps beside hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Keep the values of artifacts.
    pub artifact_values: bool,
    /// Take taps at the modules that one of these covers.
    pub taps: Vec<ModulePattern>,
    /// Keep the values of taps.
    pub tap_values: bool,
    /// Take taps of these passages only; `None` means all.
    pub passages: Option<BTreeSet<usize>>,
    /// How long the run has to last.
    pub durability: Durability,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Always `run`.
    pub concord: String,
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The subject's specification, as the command line has it.
    pub subject: String,
    /// The version of the numeric contract, where the native engine ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<u32>,
    /// The hash of each input, by name.
    pub inputs: BTreeMap<String, BitHash>,
    /// The options that the results depend on, by name.
    pub options: BTreeMap<String, serde_json::Value>,
}

impl RunManifest {
    /// A manifest of the current version.
    pub fn new(
        subject: String,
        contract: Option<u32>,
        inputs: BTreeMap<String, BitHash>,
        options: BTreeMap<String, serde_json::Value>,
    ) -> RunManifest {
        let concord = "run".to_owned();
        RunManifest {
            concord,
            version: MANIFEST_VERSION,
            subject,
            contract,
            inputs,
            options,
        }
    }
}

/// One tap of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapRecord {
    /// The path of the module.
    pub tap: String,
    pub batch: usize,
    /// The dtype of the values.
    pub dtype: DType,
    /// Values per token.
    pub width: usize,
    /// The passages of the batch, in the order of their rows.
    pub passages: Vec<TapRows>,
    /// Of attention: those of the passages whose masks are not the ordinary one, in the same order. `None` of any
    /// other module, and where the masks are not known: runs that were recorded before there was this have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masks: Option<Vec<OtherMask>>,
    /// The blob that holds the rows of all of them, where values are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<BitHash>,
}

/// A line of `events.jsonl`.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Event {
    Artifact(ArtifactEvent),
    Tap(TapRecord),
}
