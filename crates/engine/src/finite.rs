//! Whether what an index is made of is finite: one NaN makes nonsense of every centroid, and nothing later would
//! notice.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use concord_pipeline::artifact::{BATCHES, D, DOCLENS, EMBS};
use concord_pipeline::{ArtifactEvent, Observer, StageError, TapSink, Value};
use concord_tensor::Tensor;

use crate::buildable::Buildable;

/// A number of an artifact that is NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} is not finite; an index of it could not be searched{advice}")]
pub struct NotFinite {
    /// The artifact.
    pub artifact: String,
    /// Where in it.
    pub place: Place,
    advice: &'static str,
}

/// Where a number that is not finite stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an embedding of a passage.
    Token {
        pid: usize,
        /// The id from outside, where the collection has such.
        id: Option<String>,
        /// Which of the passage's embeddings it is, from 0.
        embedding: usize,
        /// The token that it is the embedding of, where that can be told.
        token: Option<String>,
    },
    /// In another artifact, at this index in each dimension.
    Element { artifact: String, index: Vec<usize> },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Token {
                pid,
                id,
                embedding,
                token,
            } => {
                write!(f, "the embedding {embedding} of passage {pid}")?;
                if let Some(id) = id {
                    write!(f, " ({id:?})")?;
                }
                match token {
                    Some(token) => write!(f, ", of the token {token:?},"),
                    None => Ok(()),
                }
            }
            Place::Element { artifact, index } => write!(f, "`{artifact}` at {index:?}"),
        }
    }
}

/// What is asked of numbers that came from the encoder.
const COMPUTED: &str = ": the numbers of the checkpoint go beyond the range of the precision or the variant; \
                        another precision may do";
/// What is asked of those that were given.
const GIVEN: &str = ": it was given with --swap, so mend or leave out what was given";

/// Stops a build at the first artifact that holds a number which is not finite.
pub(crate) struct FiniteArtifacts<'a, B> {
    built: &'a B,
    /// How many embeddings each passage of the chunk last seen has, and the number of the chunk.
    doclens: Mutex<(usize, Vec<i64>)>,
    found: Mutex<Option<NotFinite>>,
}

impl<'a, B: Buildable> FiniteArtifacts<'a, B> {
    pub(crate) fn of(built: &'a B) -> FiniteArtifacts<'a, B> {
        FiniteArtifacts {
            built,
            doclens: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// What stopped the build, if something did.
    pub(crate) fn into_found(self) -> Option<NotFinite> {
        self.found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The artifacts that are given, before anything is computed.
    ///
    /// # Errors
    /// [`NotFinite`] for the first number of them that is not.
    pub(crate) fn check_given(&self) -> Result<(), NotFinite> {
        for swap in self.built.swaps() {
            let tensor = swap.tensor();
            if let Some(at) = tensor.first_non_finite() {
                return Err(NotFinite {
                    artifact: swap.artifact().to_owned(),
                    place: Place::Element {
                        artifact: swap.artifact().to_owned(),
                        index: tensor.index_of(at),
                    },
                    advice: GIVEN,
                });
            }
        }
        Ok(())
    }

    fn check(&self, event: &ArtifactEvent, value: &Value) -> Result<(), NotFinite> {
        for (field, tensor) in value.fields() {
            let Some(at) = tensor.first_non_finite() else {
                continue;
            };
            let place = match event.artifact.as_str() {
                EMBS => self.token(event.chunk, at / tensor.row_len().max(1)),
                _ => None,
            };
            let element = || Place::Element {
                artifact: match field.is_empty() {
                    true => event.artifact.clone(),
                    false => format!("{}.{field}", event.artifact),
                },
                index: tensor.index_of(at),
            };
            return Err(NotFinite {
                artifact: event.artifact.clone(),
                place: place.unwrap_or_else(element),
                advice: COMPUTED,
            });
        }
        Ok(())
    }

    /// Which token the row `row` of a chunk's embeddings belongs to.
    fn token(&self, chunk: usize, mut row: usize) -> Option<Place> {
        let doclens = self.doclens.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, doclens) = &*doclens;
        if *of != chunk {
            return None;
        }
        let mut passage = 0;
        while let doclen = usize::try_from(*doclens.get(passage)?).ok()?
            && row >= doclen
        {
            row -= doclen;
            passage += 1;
        }
        let pid = self.built.grid().chunk(chunk).start + passage;
        let kept = usize::try_from(doclens[passage]).ok()?;
        let place = self.built.place(u32::try_from(pid).ok()?, row, kept);
        Some(Place::Token {
            pid,
            id: place.id,
            embedding: row,
            token: place.token,
        })
    }
}

impl<B: Buildable + Sync> Observer for FiniteArtifacts<'_, B> {
    fn wants_value(&self, name: &str) -> bool {
        // What the store remembers was looked at before it was remembered.
        name == DOCLENS
    }

    fn artifact(&self, event: &ArtifactEvent, value: Option<&Value>) -> Result<(), StageError> {
        let Some(value) = value else {
            return Ok(());
        };
        match event.artifact.as_str() {
            // Of tokens that are not kept nothing remains.
            BATCHES | D => return Ok(()),
            DOCLENS => {
                let doclens = value.field("").map(Tensor::as_slice::<i64>).transpose()?;
                let doclens = (event.chunk, doclens.unwrap_or_default().to_vec());
                *self.doclens.lock().unwrap_or_else(PoisonError::into_inner) = doclens;
            }
            _ => {}
        }
        self.check(event, value).map_err(|found| {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
            found.into()
        })
    }

    fn taps(&self) -> Option<&dyn TapSink> {
        None
    }
}
