//! Passages of an index by what is known of them beside their texts.

use concord_index::filter::{FilterError, parse, select};
use concord_index::format::IndexError;
use concord_index::passages::{Field, PassageDb};
use concord_index::search::PassageSet;

use crate::open::OpenIndex;

/// Why passages cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The index is damaged.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl OpenIndex {
    /// The passages of which an expression such as `year > 2020 AND lang = 'en'` is true: see
    /// [`filter`](concord_index::filter).
    ///
    /// # Errors
    /// When the expression cannot be read, or names a field that the index has not, or not with values of the kind that
    /// it is compared with.
    pub fn choose(&self, expression: &str) -> Result<PassageSet, ChooseError> {
        let expression = parse(expression).map_err(FilterError::from)?;
        match self.known()? {
            Some(known) => Ok(select(known, &expression)?),
            None => Err(FilterError::unknown(expression.first_field(), &[]).into()),
        }
    }

    /// The fields of the passages' metadata, by their names.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn fields(&self) -> Result<&[Field], IndexError> {
        Ok(self.known()?.map(PassageDb::fields).unwrap_or_default())
    }

    /// The metadata of a passage, a JSON object; `None` where it has none.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn metadata(&self, pid: u32) -> Result<Option<String>, IndexError> {
        match self.known()? {
            Some(known) => Ok(known.metadata(pid)?),
            None => Ok(None),
        }
    }
}
