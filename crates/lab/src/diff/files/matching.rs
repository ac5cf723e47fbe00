//! Which key of one dict is which of another.

use std::collections::HashMap;
use std::hash::BuildHasher;

use concord_tensor::pt::{Effort, Id, KeyProblem, Node, PtDocument};

/// What a key names on both sides, or on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// By its places in the first list and in the second.
    Both(usize, usize),
    OnlyA(usize),
    OnlyB(usize),
    /// It cannot be compared with others: it holds a tensor.
    UnknownA(usize),
    UnknownB(usize),
}

/// Prefixes that wrappers of a model put in front of its names: `DataParallel`, and a module that holds it as
/// `model`.
const PREFIXES: [&str; 2] = ["module.", "model."];

/// The keys of one side, by number.
pub(super) type Keys<'a, 'b> = (&'a PtDocument, &'b dyn Fn(usize) -> Id, usize);

/// The keys of both sides: in the order of the first, and what only the second has behind what precedes it there.
pub(super) fn matches(
    a: Keys<'_, '_>,
    b: Keys<'_, '_>,
    hashers: &impl BuildHasher,
    effort: &mut Effort,
) -> Result<Vec<Match>, KeyProblem> {
    let ((document_a, key_a, len_a), (document_b, key_b, len_b)) = (a, b);
    let same = |place_a, place_b, effort: &mut Effort| match document_a.same_key(
        key_a(place_a),
        document_b,
        key_b(place_b),
        effort,
    ) {
        Err(KeyProblem::Incomparable) => Ok(false),
        known => known,
    };
    // Files that are much alike have their keys in one order.
    if len_a == len_b {
        let mut all = true;
        for place in 0..len_a {
            if !same(place, place, effort)? {
                all = false;
                break;
            }
        }
        if all {
            return Ok((0..len_a).map(|place| Match::Both(place, place)).collect());
        }
    }
    let hash = |(document, key, _): Keys<'_, '_>, place, effort: &mut Effort| match document
        .key_hash(key(place), hashers, effort)
    {
        Ok(hash) => Ok(Some(hash)),
        Err(KeyProblem::Incomparable) => Ok(None),
        Err(problem) => Err(problem),
    };
    let mut hashes = Vec::with_capacity(len_b);
    let mut of_b = vec![Place::Free; len_b];
    for (place, of_b) in of_b.iter_mut().enumerate() {
        match hash(b, place, effort)? {
            Some(hash) => hashes.push((hash, place as u32)),
            None => *of_b = Place::Unknown,
        }
    }
    hashes.sort_unstable();
    let mut of_a = vec![Place::Free; len_a];
    for (place, of_a) in of_a.iter_mut().enumerate() {
        let Some(hash) = hash(a, place, effort)? else {
            *of_a = Place::Unknown;
            continue;
        };
        let first = hashes.partition_point(|&(other, _)| other < hash);
        for &(other, its) in &hashes[first..] {
            let its = its as usize;
            if other != hash {
                break;
            }
            if of_b[its] == Place::Free && same(place, its, effort)? {
                *of_a = Place::With(its);
                of_b[its] = Place::With(place);
                break;
            }
        }
    }
    Ok(merged(&of_a, &of_b))
}

/// What is known of the place of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    With(usize),
    Unknown,
}

fn merged(of_a: &[Place], of_b: &[Place]) -> Vec<Match> {
    // What only the second side has, by the place of the first behind which it comes.
    let mut behind: Vec<(usize, Match)> = Vec::new();
    let mut last = 0;
    for (place, with) in of_b.iter().enumerate() {
        match *with {
            Place::With(a) => last = a + 1,
            Place::Free => behind.push((last, Match::OnlyB(place))),
            Place::Unknown => behind.push((last, Match::UnknownB(place))),
        }
    }
    behind.sort_by_key(|&(last, _)| last);
    let mut behind = behind.into_iter().peekable();
    let mut all = Vec::with_capacity(of_a.len() + behind.len());
    for place in 0..=of_a.len() {
        while let Some((_, only)) = behind.next_if(|&(last, _)| last == place) {
            all.push(only);
        }
        all.extend(of_a.get(place).map(|with| match *with {
            Place::With(b) => Match::Both(place, b),
            Place::Free => Match::OnlyA(place),
            Place::Unknown => Match::UnknownA(place),
        }));
    }
    all
}

/// Names that differ in a prefix alone.
pub(super) struct Prefixed {
    pub(super) prefix: &'static str,
    pub(super) in_a: bool,
    /// For each of the first side's names, the place of the second's.
    pub(super) places: Vec<usize>,
}

/// The prefix that all names of one side have and those of the other lack, if they are the same without it.
pub(super) fn prefixed(a: &[&str], b: &[&str]) -> Option<Prefixed> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    PREFIXES.into_iter().find_map(|prefix| {
        let without = |with: &[&str], other: &[&str]| -> Option<Vec<usize>> {
            let bare = with.first()?.strip_prefix(prefix)?;
            // Most names say at once that this is not it.
            if !other.contains(&bare) {
                return None;
            }
            let places = other.iter().enumerate().map(|(place, name)| (*name, place));
            let places: HashMap<&str, usize> = places.collect();
            with.iter()
                .map(|name| places.get(name.strip_prefix(prefix)?).copied())
                .collect()
        };
        if let Some(places) = without(a, b) {
            let in_a = true;
            return Some(Prefixed {
                prefix,
                in_a,
                places,
            });
        }
        let of_b = without(b, a)?;
        let mut places = vec![0; a.len()];
        for (place_b, place_a) in of_b.into_iter().enumerate() {
            places[place_a] = place_b;
        }
        let in_a = false;
        Some(Prefixed {
            prefix,
            in_a,
            places,
        })
    })
}

/// The texts of keys, if all are texts.
pub(super) fn texts<'a>(document: &'a PtDocument, pairs: &[(Id, Id)]) -> Option<Vec<&'a str>> {
    let text = |&(key, _): &(Id, Id)| match document.node(key) {
        Node::Str(text) => Some(text),
        _ => None,
    };
    pairs.iter().map(text).collect()
}
