//! Keys that a pickle sets twice in one dict.

use std::hash::RandomState;

use super::keys::{self, Effort, KeyProblem};
use super::problem::PtProblem;
use super::unpickled::Unpickled;

/// How many values may be looked at for each that there is, and beside.
const EFFORT_EACH: u64 = 32;
const EFFORT: u64 = 10_000_000;

/// Makes the keys of every dict come once. As in Python, a key set again keeps its place and gets the new
/// value.
pub(super) fn unique_keys(unpickled: &mut Unpickled) -> Result<(), PtProblem> {
    let hashers = RandomState::new();
    let values = (unpickled.values.len() + unpickled.values.items.len()) as u64;
    let mut effort = Effort::new(values.saturating_mul(EFFORT_EACH).saturating_add(EFFORT));
    let entangled = |_| PtProblem::RepeatedKeys;
    for dict in 0..unpickled.values.dicts.len() {
        let items = &unpickled.values.dicts[dict].items;
        if items.len() < 2 {
            continue;
        }
        let mut hashes = Vec::with_capacity(items.len());
        for (place, &(key, _)) in items.iter().enumerate() {
            // Keys that cannot be compared are no others' repetition.
            match keys::hash(unpickled, key, &hashers, &mut effort) {
                Ok(hash) => hashes.push((hash, place as u32)),
                Err(KeyProblem::Incomparable) => {}
                Err(problem) => return Err(entangled(problem)),
            }
        }
        hashes.sort_unstable();
        let mut replaced: Vec<(u32, u32)> = Vec::new();
        for alike in hashes
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|alike| alike.len() > 1)
        {
            let mut firsts: Vec<u32> = Vec::new();
            for &(_, place) in alike {
                let key = items[place as usize].0;
                let mut first = None;
                for &known in &firsts {
                    let one = (&*unpickled, items[known as usize].0);
                    match keys::same(one, (&*unpickled, key), &mut effort) {
                        Ok(true) => first = Some(known),
                        Ok(false) | Err(KeyProblem::Incomparable) => {}
                        Err(problem) => return Err(entangled(problem)),
                    }
                }
                match first {
                    Some(first) => replaced.push((first, place)),
                    None => firsts.push(place),
                }
            }
        }
        if replaced.is_empty() {
            continue;
        }
        let items = &mut unpickled.values.dicts[dict].items;
        let mut again = vec![false; items.len()];
        for (first, place) in replaced {
            items[first as usize].1 = items[place as usize].1;
            again[place as usize] = true;
        }
        let mut place = 0;
        items.retain(|_| {
            place += 1;
            !again[place - 1]
        });
    }
    Ok(())
}
