//! Each clause of a sentence, and of the lines that follow it, held against what is so. A clause of a form that is not
//! known here fails.

use std::collections::BTreeSet;

use concord_lab::explain::Explanation;
use concord_report::{cause_lines, explanation_json, json, sentence};
use serde_json::Value as Json;

use crate::ask::Sides;
use crate::facts::{Facts, LAST, differing, operation_of};
use crate::inputs;
use crate::lines;
use crate::masks;
use crate::reasons;
use crate::tables;
use crate::text::Text;
use crate::told::{check_operations, is_computing, modules_of, share_of, side, text_of, watched};

/// Checks the sentence and the lines of an answer; gives them back.
#[track_caller]
pub fn check(facts: &Facts<'_>) -> (String, Vec<String>) {
    let explanation = &facts.answered.explanation;
    let (sentence, lines) = (sentence(explanation), cause_lines(explanation));
    check_texts(facts, &sentence, &lines);
    let printed = tables::printed(facts);
    tables::check(facts, &printed);
    check_printed(explanation, &printed, &sentence, &lines);
    (sentence, lines)
}

/// That people and programs get these texts.
fn check_printed(explanation: &Explanation, printed: &str, sentence: &str, lines: &[String]) {
    let json: Json = serde_json::from_str(&json(&explanation_json(explanation)).unwrap()).unwrap();
    assert_eq!(json["sentence"], sentence);
    assert_eq!(json["lines"], serde_json::json!(lines));
    let ending = lines.iter().map(|line| format!("- {line}\n"));
    let ending = format!("\n{sentence}\n{}", ending.collect::<String>());
    assert!(printed.ends_with(&ending), "{printed}");
    // What was measured is there as it is without them.
    let mut measured = json;
    let fields = measured.as_object_mut().unwrap();
    fields.remove("sentence");
    fields.remove("lines");
    assert_eq!(measured, serde_json::to_value(explanation).unwrap());
}

/// Checks such a sentence and such lines of an answer.
#[track_caller]
pub fn check_texts(facts: &Facts<'_>, sentence: &str, lines: &[String]) {
    of_form(sentence, lines);
    check_modules(facts);
    check_sentence(facts, sentence);
    lines::check(facts, lines);
}

/// What no text has, whatever it says.
fn of_form(sentence: &str, lines: &[String]) {
    let words = sentence.split_whitespace().count();
    assert!(words <= 60, "{words} words: {sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
    assert!(lines.len() <= 5, "{lines:?}");
    for text in lines.iter().map(String::as_str).chain([sentence]) {
        for never in [
            "sha256:", "blake2b:", "True", "False", "true", "false", "\n",
        ] {
            assert!(!text.contains(never), "{never} in: {text}");
        }
        let backwards = text.contains("in groups of 2, each backwards");
        assert!(!(backwards && text.contains("rounds to")), "{text}");
    }
}

/// The modules that compute something else, by probes over all passages.
fn check_modules(facts: &Facts<'_>) {
    let forced = facts.forced_json();
    if forced.is_null() {
        return;
    }
    let probed = facts.probed();
    let watched = watched(forced);
    let mut expected = BTreeSet::new();
    for (module, a) in probed.a.iter() {
        let Some(b) = probed.b_in_b.get(module) else {
            continue;
        };
        if is_computing(module) && !differing(a, b).is_disjoint(&watched) {
            expected.insert(module.clone());
        }
    }
    let culprits = forced["culprits"].as_array().unwrap().iter();
    let culprits: BTreeSet<String> = culprits.map(|c| text_of(&c["module"])).collect();
    assert_eq!(culprits, expected);
    // Each of them has a reason, and nothing else has.
    let causes = forced["causes"].as_array().unwrap().iter();
    let reasoned: BTreeSet<String> = causes.flat_map(modules_of).collect();
    assert_eq!(reasoned, expected);
}

fn check_sentence(facts: &Facts<'_>, sentence: &str) {
    let text = sentence
        .strip_suffix('.')
        .unwrap_or_else(|| panic!("no full stop: {sentence}"));
    let mut text = Text::new(text);
    if text.eat("A and B are the same, bit for bit") {
        text.end();
        assert_eq!(facts.artifacts(0), facts.artifacts(1));
        assert_eq!(facts.taps(0), facts.taps(1));
        return;
    }
    assert_ne!(
        (facts.artifacts(0), facts.taps(0)),
        (facts.artifacts(1), facts.taps(1))
    );
    for (words, sides) in [
        ("A does not agree with itself", [true, false]),
        ("B does not agree with itself", [false, true]),
        ("neither A nor B agrees with itself", [true, true]),
    ] {
        if text.eat(words) {
            return check_with_itself(facts, text, sides);
        }
    }
    if text.eat("A and B did not start from the same: ") {
        return inputs::check_start(facts, text);
    }
    if text.eat("A and B were given other settings: ") {
        let settings = text.until("; every other stage of B makes of A's inputs what A made");
        inputs::check_settings(facts, settings);
        text.end();
        return inputs::check_other_stages(facts);
    }
    if text.eat("A and B were given other settings (") {
        let settings = text.until("), and part beside that at ");
        inputs::check_settings(facts, settings);
    } else if text.eat("A and B, which differ in ") {
        let options = text.until(" alone, part at ");
        inputs::check_alone(facts, options);
    } else {
        text.must("A and B part at ");
    }
    check_place(facts, text);
}

/// `, run twice; on the same inputs `linear` gives another result each time, so what separates the two cannot be told`
fn check_with_itself(facts: &Facts<'_>, mut text: Text<'_>, sides: [bool; 2]) {
    let changing = |side: usize| -> BTreeSet<String> {
        let paths = facts.taps(side).into_keys();
        let made = &facts.answered.made[side];
        let changes = |path: &String| {
            let mut rules = made.rules_at(path).into_iter();
            rules.any(|rule| rule.is_each_time())
        };
        paths.filter(changes).collect()
    };
    let all = [changing(0), changing(1)];
    assert_eq!(all.each_ref().map(|paths| !paths.is_empty()), sides);
    let all: BTreeSet<&String> = all.iter().flatten().collect();
    text.must(", run twice; on the same inputs `");
    let first = text.until("`");
    assert!(all.iter().any(|path| *path == first), "{first}");
    if text.eat(" and ") {
        assert_eq!(text.several("more module"), all.len() - 1);
        text.must(" give");
    } else {
        assert_eq!(all.len(), 1);
        text.must(" gives");
    }
    text.must(" another result each time, so what separates the two cannot be told");
    text.end();
}

fn check_place(facts: &Facts<'_>, mut text: Text<'_>) {
    let artifacts = facts.artifacts(0);
    let is_artifact = |name: &str| artifacts.iter().any(|(artifact, _)| artifact == name);
    let begins_with_artifact = |text: &Text<'_>| is_artifact(text.clone().quoted());
    if text.goes_on_with("the model")
        || text.goes_on_with("the attention mask")
        || !begins_with_artifact(&text)
    {
        check_encoder(facts, &mut text);
        // The encoder is all that was said of.
        if text.rest().is_empty() {
            return inputs::check_artifacts(facts, &["batches"]);
        }
        text.must("; and at ");
        let told = artifacts_told(text);
        let told: Vec<&str> = ["batches"].into_iter().chain(told).collect();
        return inputs::check_artifacts(facts, &told);
    }
    let told = artifacts_told(text);
    inputs::check_artifacts(facts, &told);
}

/// `` `centroids` (k-means) and `codes` (the nearest centroid) ``.
fn artifacts_told(mut text: Text<'_>) -> Vec<&str> {
    let mut told = Vec::new();
    loop {
        let artifact = text.quoted();
        text.must(" (");
        let how = text.until(")");
        let expected = match artifact {
            "batches" => "the encoder",
            "centroids" => "k-means",
            "codes" => "the nearest centroid",
            "residuals" => "quantising the residuals",
            "bucket_cutoffs" | "bucket_weights" => "quantiles of the residuals",
            other => text.unknown(other),
        };
        assert_eq!(how, expected, "{artifact}");
        told.push(artifact);
        if text.rest().is_empty() {
            return told;
        }
        if !text.eat(", ") {
            text.must(" and ");
        }
    }
}

/// Where in the encoder the two part.
fn check_encoder(facts: &Facts<'_>, text: &mut Text<'_>) {
    if text.eat("the attention mask of ") {
        masks::check(facts, text);
        if text.eat("; and at ") {
            check_encoder(facts, text);
        }
        return;
    }
    let module = text.quoted();
    if text.eat(", inside which ") {
        let side = side(text);
        text.must(" runs nothing");
        let has = |side: usize| {
            let taps = facts.taps(side);
            let inside = format!("{module}.");
            taps.keys().filter(|path| path.starts_with(&inside)).count()
        };
        assert_eq!(has(side), 0, "{module}");
        assert!(has(1 - side) > 0, "{module}");
        if text.eat(" and which gives back what it reads") {
            assert!(facts.gives_back(side, module), "{module}");
        }
        check_passages(facts, text);
        let own = [module.to_owned()];
        let causes = facts.forced_json()["causes"].as_array().unwrap();
        let others = causes.iter().filter(|cause| modules_of(cause) != own);
        return check_others(facts, &own, others.count(), text);
    }
    if text.eat(", which on ") {
        let side = side(text);
        text.must(" does not hand on what `");
        let of = text.until("`");
        text.must(" computed, for ");
        let passages = text.several("passage");
        let taps = facts.taps(side);
        assert_eq!(differing(&taps[module], &taps[of]).len(), passages);
        assert!(
            of.strip_prefix(module)
                .is_some_and(|inside| inside.starts_with('.'))
        );
        let other = facts.taps(1 - side);
        assert_eq!(other[module], other[of], "the other side hands on");
        return;
    }
    text.must(" (");
    let operations = text.until(")");
    if facts.answered.sides == Sides::Recorded || facts.forced_json().is_null() {
        text.must(", for ");
        let few = text.eat("passage ").then(|| {
            let few = text.until(" alone").split(", ");
            few.map(|pid| pid.parse().unwrap())
                .collect::<BTreeSet<usize>>()
        });
        let differ = few.as_ref().map_or_else(|| text.count(), BTreeSet::len);
        text.must(" of the ");
        let of = text.count();
        text.must(" passages for which what it reads is the same");
        assert_eq!(operations, operation_of(module));
        if let Some(few) = few {
            let [a, b] = [facts.taps(0), facts.taps(1)];
            assert_eq!(few, differing(&a[module], &b[module]), "{module}");
        }
        assert_eq!((differ, of), facts.departing(module), "{module}");
        return;
    }
    let causes = facts.forced_json()["causes"].as_array().unwrap();
    let cause = &causes[0];
    check_is_named(module, cause);
    check_operations(operations, cause);
    check_leads(facts, cause);
    check_passages(facts, text);
    text.must(": ");
    reasons::check_in_short(facts, cause, text);
    check_others(facts, &modules_of(cause), causes.len() - 1, text);
}

/// `; 19 other modules for 3 other reasons`, where there are any beside those that were told of.
fn check_others(facts: &Facts<'_>, told: &[String], reasons: usize, text: &mut Text<'_>) {
    let causes = facts.forced_json()["causes"].as_array().unwrap();
    let others = causes.iter().flat_map(modules_of);
    let others: BTreeSet<String> = others.filter(|path| !told.contains(path)).collect();
    if text.goes_on_with("; and at ") || text.rest().is_empty() {
        assert!(others.is_empty(), "not counted: {others:?}");
        return;
    }
    text.must("; ");
    let modules = text.several("other module");
    text.must(" for ");
    assert_eq!(
        (modules, text.several("other reason")),
        (others.len(), reasons)
    );
}

/// The first module of a cause, or its place in the layers where it is one in several.
fn check_is_named(name: &str, cause: &Json) {
    let modules = modules_of(cause);
    let starred = |path: &str| match path.strip_prefix("bert.encoder.layer.") {
        Some(rest) => format!("bert.encoder.layer.*.{}", rest.split_once('.').unwrap().1),
        None => path.to_owned(),
    };
    let place = starred(&modules[0]);
    match modules.iter().filter(|path| starred(path) == place).count() {
        1 => assert_eq!(name, modules[0]),
        _ => assert_eq!(name, place),
    }
}

/// No other kind of operation makes more of the difference than that of the first cause.
fn check_leads(facts: &Facts<'_>, cause: &Json) {
    let of = |cause: &Json| -> f64 {
        let operations: BTreeSet<&str> = modules_of(cause)
            .iter()
            .map(|path| operation_of(path))
            .collect();
        let shares = operations
            .into_iter()
            .map(|operation| share_of(facts, operation));
        shares.fold(0.0, f64::max)
    };
    let causes = facts.forced_json()["causes"].as_array().unwrap();
    let own = of(cause);
    for other in causes {
        assert!(
            own >= of(other),
            "{} leads, and {} makes more",
            cause["modules"],
            other["modules"]
        );
    }
}

/// `, for 72 of 120 passages, in batches of 244 rows and more`, and `, for passage 3 of 120 alone`.
fn check_passages(facts: &Facts<'_>, text: &mut Text<'_>) {
    let differ = facts.passages_differing();
    let all = facts.taps(0)[LAST].len();
    if text.eat(", for passage ") {
        let one = text.count();
        text.must(" of ");
        let of = text.count();
        text.must(" alone");
        assert_eq!((BTreeSet::from([one]), of), (differ.clone(), all));
    } else if text.eat(", for passages ") {
        let mut told = BTreeSet::new();
        for pid in text.until(" of ").split(", ") {
            told.insert(pid.parse().unwrap());
        }
        let of = text.count();
        text.must(" alone");
        assert_eq!((told, of), (differ.clone(), all));
    } else {
        text.must(", for ");
        let count = text.count();
        text.must(" of ");
        let of = text.count();
        text.must(" passages");
        assert_eq!((count, of), (differ.len(), all));
    }
    if text.eat(", in batches of ") {
        let rows = text.count();
        text.must(" rows and ");
        let more = text.eat("more");
        if !more {
            text.must("fewer");
        }
        assert_eq!(
            facts.batches(0),
            facts.batches(1),
            "batches of other sizes are not compared"
        );
        for batch in facts.batches(1) {
            let has = facts.rows_in(1, &batch);
            let differs = batch.iter().any(|(pid, _)| differ.contains(pid));
            let told = if more { has >= rows } else { has <= rows };
            assert_eq!(differs, told, "a batch of {has} rows");
        }
    }
}
