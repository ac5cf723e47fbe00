//! What is said of options, settings, inputs and stages, held against what is so.

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::Made;
use crate::facts::{Facts, operation_of};
use crate::text::Text;

/// The artifacts that another setting is given to, by the design of the index.
fn decided_by(setting: &str) -> &'static [&'static str] {
    match setting {
        "seed" => &["sampled_pids", "sample", "sample_heldout"],
        "nbits" => &["bucket_cutoffs", "bucket_weights", "residuals"],
        "kmeans_niters" => &["centroids"],
        "doc_maxlen" => &["tensorize_output"],
        other => panic!("a setting that no test knows: {other}"),
    }
}

/// What the golden checkpoint and the program say where nobody else does.
fn setting_of(made: &Made, setting: &str) -> String {
    let settings = &made.settings;
    match setting {
        "seed" => settings.seed.to_string(),
        "nbits" => settings.nbits.unwrap_or(2).to_string(),
        "kmeans_niters" => settings.kmeans_niters.unwrap_or(4).to_string(),
        "doc_maxlen" => settings.doc_maxlen.unwrap_or(40).to_string(),
        other => panic!("a setting that no test knows: {other}"),
    }
}

const SETTINGS: [&str; 4] = ["doc_maxlen", "kmeans_niters", "nbits", "seed"];

/// The settings that are not the same.
fn other_settings(facts: &Facts<'_>) -> BTreeSet<&'static str> {
    let [a, b] = &facts.answered.made;
    let differs = |setting: &&str| setting_of(a, setting) != setting_of(b, setting);
    SETTINGS.into_iter().filter(differs).collect()
}

fn given_to(made: &Made) -> BTreeSet<&'static str> {
    made.settings
        .swaps
        .iter()
        .map(|swap| swap.artifact())
        .collect()
}

/// `nbits is 2 and 4; seed is 12345 and 7`: all that was set otherwise, and nothing else.
pub fn check_settings(facts: &Facts<'_>, told: &str) {
    let [a, b] = &facts.answered.made;
    let (mut settings, mut given) = (BTreeSet::new(), BTreeSet::new());
    for part in told.split("; ") {
        let mut text = Text::new(part);
        if text.goes_on_with("`") {
            let artifact = text.quoted();
            text.must(" was given instead of computed, to ");
            let side = crate::told::side(&mut text);
            text.end();
            assert_eq!(
                [a, b].map(|made| given_to(made).contains(artifact)),
                [side == 0, side == 1]
            );
            given.insert(artifact);
            continue;
        }
        let setting = text.until(" is ");
        let value = text.until(" and ");
        assert_eq!(
            [value, text.rest()],
            [setting_of(a, setting), setting_of(b, setting)]
        );
        settings.insert(setting);
    }
    assert_eq!(settings, other_settings(facts));
    let all: BTreeSet<&str> = given_to(a).into_iter().chain(given_to(b)).collect();
    assert_eq!(given, all);
}

/// `precision (f32, bf16)`: the one kind of option in which the two subjects' words differ.
pub fn check_alone(facts: &Facts<'_>, told: &str) {
    assert!(other_settings(facts).is_empty());
    let kinds = |made: &Made| -> BTreeMap<&'static str, String> {
        let mut kinds = BTreeMap::<&str, Vec<&str>>::new();
        for option in made.subject.split(',').skip(1) {
            let (kind, value) = match option.split_once('=') {
                Some((kind @ ("precision" | "batch" | "threads" | "pad" | "attention"), value)) => {
                    (kind, value)
                }
                Some(("transformers", _)) => continue,
                _ => ("numerics", option),
            };
            let kind = [
                "precision",
                "batch",
                "threads",
                "pad",
                "attention",
                "numerics",
            ]
            .into_iter()
            .find(|known| *known == kind)
            .unwrap();
            kinds.entry(kind).or_default().push(value);
        }
        // What is written at no module comes first, as the program writes it.
        kinds
            .into_iter()
            .map(|(kind, mut values)| {
                values.sort_by_key(|option| {
                    option
                        .split_once([':', '='])
                        .is_some_and(|(before, _)| option[before.len()..].starts_with(':'))
                });
                (kind, values.join(" "))
            })
            .collect()
    };
    let [a, b] = facts.answered.made.each_ref().map(kinds);
    let kinds: BTreeSet<&str> = a
        .keys()
        .chain(b.keys())
        .copied()
        .filter(|kind| a.get(kind) != b.get(kind))
        .collect();
    let [kind] = kinds.iter().copied().collect::<Vec<_>>()[..] else {
        panic!("`{told}` alone, and the two differ in {kinds:?}");
    };
    let unset = match kind {
        "precision" => "f32",
        "batch" => "not set",
        "pad" => "batch",
        "attention" => "eager",
        _ => "none",
    };
    let value =
        |side: &BTreeMap<&str, String>| side.get(kind).cloned().unwrap_or_else(|| unset.to_owned());
    assert_eq!(told, format!("{kind} ({}, {})", value(&a), value(&b)));
}

/// What the two did not start from the same.
pub fn check_start(facts: &Facts<'_>, mut text: Text<'_>) {
    let told = match text.has("; on equal inputs their outputs differ first at ") {
        false => text.take_rest(),
        true => {
            let told = text.until("; on equal inputs their outputs differ first at ");
            let module = text.quoted();
            text.must(" (");
            assert_eq!(text.until(")"), operation_of(module));
            text.end();
            let (differ, equal) = facts.departing(module);
            assert!(differ > 0, "{module}: 0 of {equal}");
            // No module before it departs.
            let computing = ["bert.embeddings.LayerNorm".to_owned()]
                .into_iter()
                .chain(in_order());
            for earlier in computing.take_while(|path| path != module) {
                assert_eq!(facts.departing(&earlier).0, 0, "{earlier} departs before");
            }
            told
        }
    };
    let runners = &facts.runners;
    for part in told.split(", and ") {
        let mut text = Text::new(part);
        if text.eat("the checkpoints differ in 1 tensor: ") {
            let tensor = text.quoted();
            let weights = runners.each_ref().map(|runner| {
                let weights = runner.checkpoint().weights().get(tensor).unwrap().clone();
                weights.as_slice::<f32>().unwrap().to_vec()
            });
            text.must(" at [");
            let index = text.until("]: ");
            assert!(
                index.split(", ").all(|place| place == "0"),
                "the first number was altered: {index}"
            );
            let a: f32 = text.until(" and ").parse().unwrap();
            let b: f32 = text.until(" (").parse().unwrap();
            assert_eq!([a, b], weights.each_ref().map(|values| values[0]));
            let count = text.count();
            text.must(" of ");
            let of = text.count();
            text.must(" elements)");
            let differ = weights[0]
                .iter()
                .zip(&weights[1])
                .filter(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!((count, of), (differ.count(), weights[0].len()));
            text.end();
        } else if text.eat("the checkpoints differ") {
            text.end();
            assert_ne!(
                runners[0].checkpoint().hash(),
                runners[1].checkpoint().hash()
            );
        } else if text.eat("the collections differ: ") {
            let a = text.count();
            text.must(" and ");
            let b = text.count();
            text.must(" passages, the same up to pid ");
            let first = text.count();
            text.end();
            let [of_a, of_b] = facts.answered.made.each_ref().map(|made| &made.texts);
            assert_eq!([a, b], [of_a.len(), of_b.len()]);
            assert_eq!(Some(first), of_a.iter().zip(of_b).position(|(a, b)| a != b));
        } else if text.eat("the collections have the same ") {
            let count = text.count();
            text.must(" passages in another order, from pid ");
            let first = text.count();
            text.must(" on");
            text.end();
            let [of_a, of_b] = facts
                .answered
                .made
                .each_ref()
                .map(|made| made.texts.clone());
            assert_eq!(
                Some(first),
                of_a.iter().zip(&of_b).position(|(a, b)| a != b)
            );
            let sorted = |mut texts: Vec<String>| {
                texts.sort();
                texts
            };
            assert_eq!(count, of_a.len());
            assert_eq!(sorted(of_a), sorted(of_b));
        } else if text.eat("the tokens of the same texts differ (tensorize_output: ") {
            assert_eq!(text.until(")"), "ids, lengths");
            text.end();
            let [a, b] = facts.answered.made.each_ref().map(|made| &made.texts);
            assert_eq!(a, b);
            let tokens = |side| {
                facts
                    .artifacts(side)
                    .into_iter()
                    .find(|(name, _)| name == "tensorize_output")
                    .unwrap()
            };
            assert_ne!(tokens(0), tokens(1));
        } else {
            check_settings(facts, part);
        }
    }
}

/// The modules of a layer that compute, in their order, of both layers, and the head.
fn in_order() -> impl Iterator<Item = String> {
    let inside = [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.self",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "intermediate.intermediate_act_fn",
        "output.dense",
        "output.LayerNorm",
    ];
    let layers = (0..2)
        .flat_map(move |layer| inside.map(|path| format!("bert.encoder.layer.{layer}.{path}")));
    layers.chain(["linear", "mask", "normalize"].map(str::to_owned))
}

/// That every stage that was not told otherwise makes of A's inputs what A made.
pub fn check_other_stages(facts: &Facts<'_>) {
    check_artifacts(facts, &[]);
}

/// The artifacts that differ by themselves are these and no others: with all that A has before it, B makes each of the
/// others as A did, and none of these.
pub fn check_artifacts(facts: &Facts<'_>, told: &[&str]) {
    let a = facts.artifacts(0);
    let given: BTreeSet<&str> = {
        let settings = other_settings(facts);
        let by_setting = settings.iter().flat_map(|setting| decided_by(setting));
        let [a, b] = &facts.answered.made;
        by_setting
            .copied()
            .chain(given_to(a))
            .chain(given_to(b))
            .collect()
    };
    let encoder = facts
        .artifacts(0)
        .into_iter()
        .zip(facts.artifacts(1))
        .any(|(a, b)| a.0 == "batches" && a != b);
    let batches_told = told.contains(&"batches");
    // Of a run that was changed since, what its modules gave may say so alone.
    let encoder = encoder || !facts.passages_differing().is_empty();
    assert_eq!(encoder, batches_told, "the encoder's output");
    // Nothing can be run of two recordings; then it is not said that there is nothing else.
    if facts.answered.sides == crate::ask::Sides::Recorded {
        return;
    }
    let of_a = |name: &str| &a.iter().find(|(own, _)| own == name).unwrap().1;
    // What is quantised into other bits fits nowhere else.
    let fits = |name: &&str| !["bucket_cutoffs", "bucket_weights", "residuals"].contains(name);
    let encoder = ["embs"].into_iter().filter(|_| batches_told);
    let stages = told.iter().copied().filter(|name| *name != "batches");
    let all: Vec<&str> = encoder
        .clone()
        .chain(stages.clone())
        .chain(given.iter().copied().filter(fits))
        .collect();
    let all: Vec<&str> = all
        .iter()
        .enumerate()
        .filter(|(at, name)| !all[..*at].contains(name))
        .map(|(_, name)| *name)
        .collect();
    // Each that is told of differs though all that comes before it is A's.
    for name in stages.filter(|name| !given.contains(name)) {
        let before: Vec<&str> = all
            .iter()
            .copied()
            .take_while(|other| *other != name)
            .collect();
        assert_ne!(
            &facts.b_with(&before)[name],
            of_a(name),
            "{name} on A's inputs"
        );
    }
    // With A's in place of all that is told of, everything else is A's.
    let made = facts.b_with(&all);
    for (name, hash) in a.iter().skip_while(|(name, _)| name != "embs") {
        let made_of_given = name == "avg_residual" && given.contains("bucket_cutoffs");
        if !given.contains(name.as_str()) && !made_of_given {
            assert_eq!(&made[name], hash, "{name} with A's {all:?}");
        }
    }
}
