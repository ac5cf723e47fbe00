//! In what two checkpoints differ, named.

use std::collections::BTreeSet;

use concord_tensor::{BitHash, Tensor};
use serde_json::Value as Json;

use super::weights::Weights;

/// A checkpoint but for its weights.
pub(super) struct Described {
    /// The encoder's sizes and switches, of `config.json`.
    pub encoder: Json,
    /// ColBERT's settings, of `artifact.metadata`.
    pub settings: Json,
    pub tokenizer: Vec<(&'static str, BitHash)>,
    pub has_pooler: bool,
}

/// The differences, each as what follows "they differ in".
pub(super) fn between(weights: [&Weights; 2], [a, b]: [&Described; 2]) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(tensors(weights));
    found.extend(fields("config.json", &a.encoder, &b.encoder));
    found.extend(fields("artifact.metadata", &a.settings, &b.settings));
    let names = |side: &Described| -> BTreeSet<&str> {
        side.tokenizer.iter().map(|(name, _)| *name).collect()
    };
    for name in &names(a) | &names(b) {
        let hash = |side: &Described| {
            let mut files = side.tokenizer.iter();
            files.find(|(file, _)| *file == name).map(|(_, hash)| *hash)
        };
        match (hash(a), hash(b)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => found.push(name.to_owned()),
            (Some(_), None) => found.push(format!("{name}, which A alone has")),
            (None, _) => found.push(format!("{name}, which B alone has")),
        }
    }
    if a.has_pooler != b.has_pooler {
        let which = if a.has_pooler { "A" } else { "B" };
        found.push(format!("the pooler, which {which} alone has"));
    }
    found
}

/// The tensors that are not the same, as one sentence about their number and the first.
fn tensors([a, b]: [&Weights; 2]) -> Option<String> {
    let (mut differing, mut first) = (0usize, None);
    let names: BTreeSet<&str> = a.iter().chain(b.iter()).map(|(name, _)| name).collect();
    for name in names {
        let told = match (a.get(name), b.get(name)) {
            (Some(a), Some(b)) => tensor(a, b),
            (Some(_), None) => Some("which A alone has".to_owned()),
            (None, _) => Some("which B alone has".to_owned()),
        };
        if let Some(told) = told {
            differing += 1;
            first.get_or_insert_with(|| format!("`{name}` {told}"));
        }
    }
    let first = first?;
    Some(match differing {
        1 => format!("1 tensor: {first}"),
        _ => format!("{differing} tensors, first {first}"),
    })
}

/// In what two tensors differ; `None` where every bit is the same.
fn tensor(a: &Tensor, b: &Tensor) -> Option<String> {
    if a.shape() != b.shape() {
        return Some(format!("of the shapes {:?} and {:?}", a.shape(), b.shape()));
    }
    // Weights are in f32, whatever the file has.
    let (of_a, of_b) = (a.as_slice::<f32>().ok()?, b.as_slice::<f32>().ok()?);
    let differs = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits();
    let differing = of_a.iter().zip(of_b).filter(differs).count();
    let at = of_a.iter().zip(of_b).position(|pair| differs(&pair))?;
    let (mut rest, mut index) = (at, Vec::new());
    for &size in a.shape().iter().rev() {
        index.push(rest % size);
        rest /= size;
    }
    index.reverse();
    Some(format!(
        "at {index:?}: {:?} and {:?} ({} of {} elements)",
        of_a[at],
        of_b[at],
        grouped(differing),
        grouped(of_a.len())
    ))
}

/// The fields of a configuration that are not the same.
fn fields(file: &str, a: &Json, b: &Json) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (a, b) = (
        a.as_object().unwrap_or(&empty),
        b.as_object().unwrap_or(&empty),
    );
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let value = |side: &serde_json::Map<String, Json>, name: &str| match side.get(name) {
        None | Some(Json::Null) => "not given".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) => format!("{number:?}"),
            None => number.to_string(),
        },
        Some(value) => value.to_string(),
    };
    names
        .into_iter()
        .map(|name| (name, value(a, name), value(b, name)))
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| format!("{name} of {file} ({a} and {b})"))
        .collect()
}

/// A number with its digits in groups of three.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
