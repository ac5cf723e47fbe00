//! In which order what two sides have is listed.

use concord_pipeline::artifact::position;

use crate::side::{Side, SideKind};

/// The names of all rows but the taps.
pub(super) fn names<'a>(a: &'a Side, b: &'a Side) -> Vec<&'a str> {
    let mut names = merged(a.artifacts(), b.artifacts());
    if a.kind() != SideKind::File {
        names.sort_by_key(|name| position(name));
    }
    names
}

/// The names of the first list in its order; those that only the second has follow what precedes them
/// there.
pub(super) fn merged<'a>(first: Vec<&'a str>, second: Vec<&'a str>) -> Vec<&'a str> {
    let mut names = first;
    let mut place = 0;
    for name in second {
        match names.iter().position(|known| *known == name) {
            Some(known) => place = known + 1,
            None => {
                names.insert(place, name);
                place += 1;
            }
        }
    }
    names
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
