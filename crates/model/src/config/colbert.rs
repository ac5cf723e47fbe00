//! ColBERT's settings, with the reference's names, defaults and order.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::ConfigError;

/// A type that a setting may have.
trait Setting: Sized {
    /// What a JSON value must be to become one, in words.
    const EXPECTED: &'static str;

    /// The setting that `value` stands for.
    fn from_json(value: &Value) -> Option<Self>;
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number that is not negative";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_u64().and_then(|number| number.try_into().ok())
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a string";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

/// For settings that the reference takes in several types.
impl Setting for Value {
    const EXPECTED: &'static str = "any value";

    fn from_json(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_json(value: &Value) -> Option<Self> {
        T::from_json(value).map(Some)
    }
}

/// Declares [`ColbertConfig`] and [`ConfigLayer`] from one list, so that they cannot drift apart.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)*) => {
        /// All settings of ColBERT 0.2.22.
        ///
        /// Serialised, the keys stand in the order in which an index's `metadata.json` has them,
        /// which is the order of the fields.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct ColbertConfig {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for ColbertConfig {
            /// The reference's class defaults, but for two that depend on where and when the
            /// reference runs: `root` and `name`.
            fn default() -> Self {
                ColbertConfig { $($name: $default,)* }
            }
        }

        /// Some settings: those that were *assigned*, by a file or by a user.
        ///
        /// Only these override the settings of earlier layers (see [`ColbertConfig::resolve`]).
        /// Serialised, a layer has its assigned settings only, in the order of
        /// [`ColbertConfig`].
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        pub struct ConfigLayer {
            $(
                #[doc = concat!("[`ColbertConfig::", stringify!($name), "`], if assigned.")]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl ConfigLayer {
            /// The assigned settings among `map`'s keys; other keys are ignored.
            ///
            /// A `null` assigns the class default, as in the reference.
            ///
            /// # Errors
            /// [`ConfigError::Value`]; `file` stands for the map's origin in the message.
            pub fn from_map(
                file: &str,
                map: &Map<String, Value>,
            ) -> Result<ConfigLayer, ConfigError> {
                let mut layer = ConfigLayer::default();
                $(
                    layer.$name = match map.get(stringify!($name)) {
                        None => None,
                        Some(Value::Null) => Some($default),
                        Some(value) => Some(setting(file, stringify!($name), value)?),
                    };
                )*
                Ok(layer)
            }

            /// Overrides the settings of `config` that this layer assigns.
            pub(super) fn apply(&self, config: &mut ColbertConfig) {
                $(
                    if let Some(value) = &self.$name {
                        config.$name = value.clone();
                    }
                )*
            }
        }

        impl From<&ColbertConfig> for ConfigLayer {
            /// A layer that assigns every setting.
            fn from(config: &ColbertConfig) -> Self {
                ConfigLayer { $($name: Some(config.$name.clone()),)* }
            }
        }
    };
}

fn setting<T: Setting>(file: &str, key: &'static str, value: &Value) -> Result<T, ConfigError> {
    T::from_json(value).ok_or_else(|| ConfigError::Value {
        file: file.to_owned(),
        key,
        expected: T::EXPECTED,
        found: value.to_string(),
    })
}

settings! {
    /// The vocabulary entry that marks a query, inserted after `[CLS]`.
    query_token_id: String = "[unused0]".into();
    /// The vocabulary entry that marks a document, inserted after `[CLS]`.
    doc_token_id: String = "[unused1]".into();
    /// How the query marker is shown to people.
    query_token: String = "[Q]".into();
    /// How the document marker is shown to people.
    doc_token: String = "[D]".into();
    /// Centroids probed per query token; null: chosen by k.
    ncells: Option<usize> = None;
    /// Centroids that score below this are left out of the first approximation; null: chosen by k.
    centroid_score_threshold: Option<f64> = None;
    /// Candidate passages kept for the second approximation; null: chosen by k.
    ndocs: Option<usize> = None;
    /// Whether the reference's searcher maps the index instead of reading it.
    load_index_with_mmap: bool = false;
    /// Where the index lies, if not under `root`.
    index_path: Option<String> = None;
    /// Passages per batch of the encoder.
    index_bsize: usize = 64;
    /// Bits per dimension of a residual.
    nbits: usize = 1;
    /// Iterations of k-means.
    kmeans_niters: usize = 4;
    /// Whether an unfinished build or training is taken up again.
    resume: bool = false;
    /// A passage's embeddings are pooled to one in so many; 1: not at all.
    pool_factor: usize = 1;
    /// How embeddings to be pooled are grouped.
    clustering_mode: String = "hierarchical".into();
    /// The first embeddings of a passage that pooling leaves alone.
    protected_tokens: usize = 0;
    /// The similarity of the training loss; search always uses dot products of unit vectors.
    similarity: String = "cosine".into();
    /// Training: examples per step.
    bsize: usize = 32;
    /// Training: steps whose gradients are added up.
    accumsteps: usize = 1;
    /// Training: the learning rate.
    lr: f64 = 3e-6;
    /// Training: the number of steps.
    maxsteps: usize = 500_000;
    /// Training: steps between two checkpoints.
    save_every: Option<usize> = None;
    /// Training: steps of the learning rate's rise.
    warmup: Option<usize> = None;
    /// Training: steps during which the encoder is frozen.
    warmup_bert: Option<usize> = None;
    /// Training: an option of an earlier version, without effect.
    relu: bool = false;
    /// Training: passages per query.
    nway: usize = 2;
    /// Training: whether the other queries' passages count as negatives.
    use_ib_negatives: bool = false;
    /// Training: whether a cross-encoder is trained.
    reranker: bool = false;
    /// Training: the scale of the teacher's scores.
    distillation_alpha: f64 = 1.0;
    /// Training: whether the teacher's scores are ignored.
    ignore_scores: bool = false;
    /// The model whose class is used, if not the checkpoint's.
    model_name: Option<String> = None;
    /// Tokens per query, special tokens and `[MASK]`s included.
    query_maxlen: usize = 32;
    /// Whether the encoder attends to a query's `[MASK]`s.
    attend_to_mask_tokens: bool = false;
    /// How query and document embeddings meet: `colbert` or `flipr`.
    interaction: String = "colbert".into();
    /// Dimensions of an embedding.
    dim: usize = 128;
    /// The most tokens of a document, special tokens included.
    doc_maxlen: usize = 220;
    /// Whether the embeddings of punctuation are dropped.
    mask_punctuation: bool = true;
    /// The checkpoint: a folder or a hub id.
    checkpoint: Option<String> = None;
    /// The training triples: a path, or what stands for a list.
    triples: Value = Value::Null;
    /// The collection: a path, or what stands for a list.
    collection: Value = Value::Null;
    /// The queries: a path, or what stands for a list.
    queries: Value = Value::Null;
    /// The index's name below `root`.
    index_name: Option<String> = None;
    /// What happens to an index that exists: true, false, or a word.
    overwrite: Value = Value::Bool(false);
    /// The folder of all experiments. The reference's default is below the working directory;
    /// ours does not depend on it.
    root: String = "experiments".into();
    /// The experiment's folder below `root`.
    experiment: String = "default".into();
    /// The folder of indexes, if not below `root`.
    index_root: Option<String> = None;
    /// The run's name. The reference's default is the time; ours does not change.
    name: String = "concord".into();
    /// The number of this process.
    rank: usize = 0;
    /// The number of processes.
    nranks: usize = 1;
    /// Training: whether mixed precision is used. At inference the reference ignores it.
    amp: bool = true;
    /// GPUs: their number or a list. The reference's default is those of the machine; ours is none.
    gpus: Value = Value::from(0);
    /// Whether the reference works in its own process if there is only one.
    avoid_fork_if_possible: bool = false;
}
