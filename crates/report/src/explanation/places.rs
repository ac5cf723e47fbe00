//! Modules by their place in a layer: the same place of several layers is named once.

use concord_lab::explain::{Cause, Culprit, layer_of};

use crate::figures::several;

/// Culprits at the same place of several layers.
pub(super) struct Group<'a> {
    /// The path, with `*` for the layer.
    pub(super) path: String,
    layers: Vec<usize>,
    pub(super) culprits: Vec<&'a Culprit>,
}

/// The culprits by their place in a layer, in the order of the first of each.
pub(super) fn groups(culprits: &[Culprit]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for culprit in culprits {
        let (path, layer) = starred(&culprit.module);
        match groups.iter_mut().find(|group| group.path == path) {
            Some(group) => {
                group.layers.extend(layer);
                group.culprits.push(culprit);
            }
            None => groups.push(Group {
                path,
                layers: layer.into_iter().collect(),
                culprits: vec![culprit],
            }),
        }
    }
    groups
}

/// A path without the number of its layer, and that number.
fn starred(path: &str) -> (String, Option<usize>) {
    match layer_of(path) {
        Some((table, layer, inside)) if !inside.is_empty() => {
            (format!("{}.*.{inside}", table.layer), Some(layer))
        }
        _ => (path.to_owned(), None),
    }
}

impl Group<'_> {
    /// `0 to 3`, or `0, 2`.
    pub(super) fn layers(&self) -> String {
        match (self.layers.first(), self.layers.last()) {
            (Some(first), Some(last)) if last - first + 1 == self.layers.len() && first != last => {
                format!("{first} to {last}")
            }
            _ => {
                let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
                layers.join(", ")
            }
        }
    }
}

/// Modules by their place in a layer, the path of each place once.
pub(super) fn places(modules: &[String]) -> String {
    let mut places: Vec<String> = Vec::new();
    for module in modules {
        let path = match modules {
            [one] => one.clone(),
            _ => starred(module).0,
        };
        if !places.contains(&path) {
            places.push(path);
        }
    }
    let quoted = |path: &String| format!("`{path}`");
    match places.as_slice() {
        [first, second, more @ ..] if !more.is_empty() => format!(
            "{}, {} and {}",
            quoted(first),
            quoted(second),
            several(more.len(), "other place")
        ),
        few => few.iter().map(quoted).collect::<Vec<_>>().join(" and "),
    }
}

/// The first place of these modules, with its path alone where it is one module.
pub(super) fn named(modules: &[String]) -> String {
    let first = modules.first().map_or("", String::as_str);
    let (path, _) = starred(first);
    let is_alone = modules
        .iter()
        .filter(|module| starred(module).0 == path)
        .count()
        == 1;
    quoted(if is_alone { first } else { &path })
}

/// A path in quotation marks; the model itself has none.
pub(super) fn quoted(path: &str) -> String {
    match path {
        "" => "the model".to_owned(),
        path => format!("`{path}`"),
    }
}

/// The operations of a cause and at how many modules it is one.
pub(super) fn modules_in_short(cause: &Cause) -> String {
    let operations = listed(cause.operations.iter().map(ToString::to_string));
    match cause.modules.len() {
        1 => operations,
        modules => format!("{operations}, {}", several(modules, "module")),
    }
}

/// `one`, `one and two`, `one, two and three`; of many the first three and how many more.
pub(super) fn listed(texts: impl Iterator<Item = String>) -> String {
    const NAMED: usize = 3;
    let mut texts: Vec<String> = texts.collect();
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// `A`, `B` or both.
pub(super) fn sides(sides: [bool; 2]) -> &'static str {
    match sides {
        [true, false] => "A",
        [false, true] => "B",
        _ => "either side",
    }
}

/// For each side the modules that give back what they read.
pub(super) fn cut_out(culprits: &[Culprit]) -> Vec<String> {
    let of = |side: usize| -> Vec<String> {
        let culprits = culprits.iter().filter(|culprit| culprit.cut_out[side]);
        culprits.map(|culprit| culprit.module.clone()).collect()
    };
    ["A", "B"]
        .into_iter()
        .zip([of(0), of(1)])
        .filter(|(_, modules)| !modules.is_empty())
        .map(|(name, modules)| format!("{name} gives back what {} reads", places(&modules)))
        .collect()
}
