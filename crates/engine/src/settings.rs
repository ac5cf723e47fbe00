//! What an index depends on beside checkpoint, collection and arithmetic, and what one side of a comparison
//! has of its own.

use std::fmt;
use std::num::NonZeroUsize;

use crate::swap::Swap;

/// The reference's seed.
pub const DEFAULT_SEED: u32 = 12345;

/// What the index depends on beside checkpoint, collection and arithmetic. What is unset is what the
/// checkpoint says.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// Bits per residual dimension.
    pub nbits: Option<usize>,
    /// The most tokens of a passage.
    pub doc_maxlen: Option<usize>,
    pub kmeans_niters: Option<usize>,
    /// How many centroids are trained, if there is so much to train them on; as many as the reference's rule has if unset.
    pub partitions: Option<NonZeroUsize>,
    /// The seed of the sample and its shuffle.
    pub seed: u32,
    /// Artifacts that are given instead of computed.
    pub swaps: Vec<Swap>,
}

impl Default for IndexSettings {
    fn default() -> IndexSettings {
        IndexSettings {
            nbits: None,
            doc_maxlen: None,
            kmeans_niters: None,
            partitions: None,
            seed: DEFAULT_SEED,
            swaps: Vec::new(),
        }
    }
}

/// What a specification says for its own side alone, as in `native,checkpoint=./other,nbits=4`. What is unset is
/// as all sides have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSettings {
    /// The checkpoint by its name: a folder, an id of the hub, or the embedded one.
    pub checkpoint: Option<String>,
    pub nbits: Option<usize>,
    pub doc_maxlen: Option<usize>,
    pub kmeans_niters: Option<usize>,
    pub seed: Option<u32>,
}

/// Why a setting of one side cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("`{option}={value}`: a whole number is needed{most}", most = at_most(*most))]
    NotANumber {
        option: &'static str,
        value: String,
        /// The largest, where it is not that of the machine.
        most: Option<u32>,
    },
    #[error(
        "`checkpoint=` names no checkpoint: write a folder, an id of the hub (owner/name) or concord-mini"
    )]
    NoCheckpoint,
    /// What follows a checkpoint is no option, so the comma may be one of the path.
    #[error(
        "`{rest}` after `checkpoint={path}` is no option; if the comma is part of the path: commas separate the \
         options of a subject, so give the folder a name without one, or a link to it"
    )]
    Comma { path: String, rest: String },
}

fn at_most(most: Option<u32>) -> String {
    most.map_or(String::new(), |most| format!(" from 0 to {most}"))
}

impl OwnSettings {
    /// Takes the option of that name, if it is one of these.
    ///
    /// # Errors
    /// When its value is none that it can have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, SettingError> {
        let number = |option| {
            let parsed = value.parse::<usize>();
            parsed.map(Some).map_err(|_| SettingError::NotANumber {
                option,
                value: value.to_owned(),
                most: None,
            })
        };
        match name {
            "checkpoint" if value.is_empty() => return Err(SettingError::NoCheckpoint),
            "checkpoint" => self.checkpoint = Some(value.to_owned()),
            "nbits" => self.nbits = number("nbits")?,
            "doc_maxlen" => self.doc_maxlen = number("doc_maxlen")?,
            "kmeans_niters" => self.kmeans_niters = number("kmeans_niters")?,
            "seed" => {
                let seed = value.parse().map_err(|_| SettingError::NotANumber {
                    option: "seed",
                    value: value.to_owned(),
                    most: Some(u32::MAX),
                });
                self.seed = Some(seed?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is set, by name, written out.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        // Taken apart, so that one that is added cannot be forgotten.
        let OwnSettings {
            checkpoint,
            nbits,
            doc_maxlen,
            kmeans_niters,
            seed,
        } = self;
        let text = |number: &Option<usize>| number.map(|number| number.to_string());
        [
            ("checkpoint", checkpoint.clone()),
            ("nbits", text(nbits)),
            ("doc_maxlen", text(doc_maxlen)),
            ("kmeans_niters", text(kmeans_niters)),
            ("seed", seed.map(|seed| seed.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The settings of this side: its own, and where it has none, those of `all`.
    pub fn over(&self, all: IndexSettings) -> IndexSettings {
        IndexSettings {
            nbits: self.nbits.or(all.nbits),
            doc_maxlen: self.doc_maxlen.or(all.doc_maxlen),
            kmeans_niters: self.kmeans_niters.or(all.kmeans_niters),
            partitions: all.partitions,
            seed: self.seed.unwrap_or(all.seed),
            swaps: all.swaps,
        }
    }
}

impl fmt::Display for OwnSettings {
    /// As a specification has them, each after a comma.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given()
            .try_for_each(|(name, value)| write!(f, ",{name}={value}"))
    }
}
