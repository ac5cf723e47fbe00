//! Values that a pickle remembers to name them again.

use std::collections::HashMap;

use crate::budget::{Budget, Exhausted};
use crate::pt::unpickled::Id;

/// Values by number. Picklers count from 0 upwards, which takes no map.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Id>,
    sparse: HashMap<u32, Id>,
}

/// What an entry of the map takes at most, with the slots that are free and those of a map half the size,
/// which is there while this one grows.
const SPARSE_ENTRY: u64 = 48;

impl Memo {
    pub(super) fn get(&self, key: u32) -> Option<Id> {
        let dense = self.dense.get(key as usize);
        dense.or_else(|| self.sparse.get(&key)).copied()
    }

    pub(super) fn set(&mut self, key: u32, id: Id, budget: &mut Budget) -> Result<(), Exhausted> {
        let place = key as usize;
        if place < self.dense.len() {
            self.dense[place] = id;
        } else if place == self.dense.len() {
            budget.push::<Id>(1)?;
            self.dense.push(id);
            self.sparse.remove(&key);
        } else if self.sparse.insert(key, id).is_none() {
            budget.take(SPARSE_ENTRY)?;
        }
        Ok(())
    }

    /// How many numbers are taken, which is the next that a pickler leaves to the reader to give.
    pub(super) fn len(&self) -> u32 {
        (self.dense.len() + self.sparse.len()) as u32
    }
}
