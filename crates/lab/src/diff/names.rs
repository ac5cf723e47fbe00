//! In which order what two sides have is listed.

use std::collections::HashMap;

use concord_pipeline::artifact::position;

use crate::side::Side;

/// The names of all rows but the taps.
pub(super) fn names<'a>(a: &'a Side, b: &'a Side) -> Vec<&'a str> {
    let mut names = merged(a.artifacts(), b.artifacts());
    names.sort_by_key(|name| position(name));
    names
}

/// The names of the first list in its order; those that only the second has follow what precedes them
/// there.
pub(super) fn merged<'a>(first: Vec<&'a str>, second: Vec<&'a str>) -> Vec<&'a str> {
    let name = |(a, b): (Option<usize>, Option<usize>)| match (a, b) {
        (Some(place), _) => first.get(place).copied(),
        (None, place) => second.get(place?).copied(),
    };
    let places = places_in(&first, &second);
    places.into_iter().filter_map(name).collect()
}

/// Where each name is in the first list and in the second: in the order of the first, and those that only the
/// second has behind what precedes them there. A name that a list has several times is found at its first place.
pub(super) fn places_in(first: &[&str], second: &[&str]) -> Vec<(Option<usize>, Option<usize>)> {
    // Sides that are much alike have their names in one order, and then none is looked up.
    if first == second {
        return (0..first.len())
            .map(|place| (Some(place), Some(place)))
            .collect();
    }
    let mut known: HashMap<&str, usize> = HashMap::with_capacity(first.len());
    for (place, name) in first.iter().enumerate() {
        known.entry(name).or_insert(place);
    }
    let mut with = vec![None; first.len()];
    // What only the second list has, by how much of the first precedes it.
    let mut only: Vec<(usize, usize)> = Vec::new();
    let mut last = 0;
    for (place, name) in second.iter().enumerate() {
        match known.get(name) {
            Some(&of_first) if with[of_first].is_none() => {
                with[of_first] = Some(place);
                last = of_first + 1;
            }
            _ => only.push((last, place)),
        }
    }
    only.sort_by_key(|&(last, _)| last);
    let mut only = only.into_iter().peekable();
    let mut places = Vec::with_capacity(first.len() + only.len());
    for place in 0..=first.len() {
        while let Some((_, of_second)) = only.next_if(|&(last, _)| last == place) {
            places.push((None, Some(of_second)));
        }
        places.extend(with.get(place).map(|&with| (Some(place), with)));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_second_has_follows_what_precedes_it_there() {
        let merge = |a: &[&'static str], b: &[&'static str]| merged(a.to_vec(), b.to_vec());
        assert_eq!(merge(&["a", "c"], &["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(merge(&["a", "b"], &["x", "b", "y"]), ["x", "a", "b", "y"]);
        assert_eq!(merge(&[], &["x", "y"]), ["x", "y"]);
    }
}
