//! Patterns that name modules.

use std::fmt;

/// A pattern over module paths such as `bert.encoder.layer.3.attention.self.query`: components divided
/// by dots, in each of which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModulePattern(String);

impl ModulePattern {
    /// The pattern written in `text`.
    pub fn new(text: impl Into<String>) -> ModulePattern {
        ModulePattern(text.into())
    }

    /// Whether the pattern names the module at `path`.
    pub fn names(&self, path: &str) -> bool {
        let (mut pattern, mut path) = (self.0.split('.'), path.split('.'));
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return true,
                (Some(pattern), Some(component)) if matches_component(pattern, component) => {}
                _ => return false,
            }
        }
    }

    /// Whether the pattern names the module at `path` or one that contains it. So `*` covers all.
    pub fn covers(&self, path: &str) -> bool {
        let ends = path
            .match_indices('.')
            .map(|(at, _)| at)
            .chain([path.len()]);
        ends.into_iter().any(|end| self.names(&path[..end]))
    }
}

impl fmt::Display for ModulePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn matches_component(pattern: &str, component: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces
        .next()
        .and_then(|first| component.strip_prefix(first))
    else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "bert.encoder.layer.3.attention.self.query";

    #[test]
    fn a_star_stays_within_its_component() {
        for pattern in [QUERY, "bert.*.layer.*.attention.self.q*y", "*.*.*.3.*.*.*"] {
            assert!(ModulePattern::new(pattern).names(QUERY), "{pattern}");
        }
        for pattern in [
            "",
            "*",
            "bert.*.query",
            "*.output.dense",
            "bert.encoder.layer.3",
        ] {
            assert!(!ModulePattern::new(pattern).names(QUERY), "{pattern}");
        }
    }

    #[test]
    fn a_module_covers_what_is_inside_it() {
        for pattern in ["*", "bert", "bert.encoder.layer.*", QUERY] {
            assert!(ModulePattern::new(pattern).covers(QUERY), "{pattern}");
        }
        for pattern in [
            "linear",
            "bert.encoder.layer.4",
            "ber",
            "bert.encoder.layer",
        ] {
            let covers = ModulePattern::new(pattern).covers(QUERY);
            assert_eq!(covers, pattern == "bert.encoder.layer", "{pattern}");
        }
    }
}
