//! What is said above the sentence in whole clauses, held against what is so.

use std::collections::BTreeSet;

use concord_report::{Style, explanation_text};

use crate::facts::{Facts, differing};
use crate::text::Text;
use crate::told::{is_computing, text_of, watched};

/// All that is printed of an answer.
pub fn printed(facts: &Facts<'_>) -> String {
    explanation_text(&facts.answered.explanation, &Style::default())
}

/// Checks the clauses of such a text that say of which passages and batches its tables are.
#[track_caller]
pub fn check(facts: &Facts<'_>, printed: &str) {
    let mut modules = 0;
    for line in printed.lines() {
        let mut text = Text::new(line);
        if text.eat("The embeddings of ") {
            check_batches(facts, text);
        } else if text.eat("Each of ") {
            check_modules(facts, text);
            modules += 1;
        }
    }
    let expected = usize::from(!facts.forced_json().is_null());
    assert_eq!(modules, expected, "{printed}");
}

/// `120 of 120 passages differ, in 3 of 3 batches (of 400 to 500 rows; those that agree have 300).`
fn check_batches(facts: &Facts<'_>, mut text: Text<'_>) {
    let differ = facts.passages_differing();
    let batches = facts.batches(1);
    let has_differing =
        |batch: &&Vec<(usize, usize)>| batch.iter().any(|(pid, _)| differ.contains(pid));
    let passages = (text.count(), {
        text.must(" of ");
        text.count()
    });
    assert_eq!(passages, (differ.len(), batches.iter().map(Vec::len).sum()));
    text.must(" passages differ, in ");
    let told = (text.count(), {
        text.must(" of ");
        text.count()
    });
    let count = batches.iter().filter(has_differing).count();
    assert_eq!(told, (count, batches.len()));
    text.must(" batches");
    if text.eat(" (of ") {
        assert_eq!(facts.batches(0), batches, "batches of other sizes");
        let rows = |differing: bool| {
            let such = batches
                .iter()
                .filter(|batch| has_differing(batch) == differing);
            let rows = such.map(|batch| facts.rows_in(1, batch));
            rows.collect::<BTreeSet<usize>>()
        };
        let range = |text: &mut Text<'_>, rows: &BTreeSet<usize>| {
            assert_eq!(Some(&text.count()), rows.first());
            if text.eat(" to ") {
                assert_eq!(Some(&text.count()), rows.last());
            } else {
                assert_eq!(rows.len(), 1);
            }
        };
        range(&mut text, &rows(true));
        text.must(" rows");
        if text.eat("; those that agree have ") {
            range(&mut text, &rows(false));
        }
        text.must(")");
    }
    text.must(".");
    text.end();
}

/// `B's 24 modules was run on what A's modules computed, for 57 passages in 3 of B's batches. 4 compute something else:`
fn check_modules(facts: &Facts<'_>, mut text: Text<'_>) {
    let forced = facts.forced_json();
    let has = |side: usize| -> BTreeSet<String> {
        let paths = facts.taps(side).into_keys();
        let computing = |path: &String| is_computing(path) || path.ends_with("_embeddings");
        paths.filter(computing).collect()
    };
    let [of_a, of_b] = [has(0), has(1)];
    if text.eat("B's ") {
        assert_eq!(text.count(), of_b.len());
        assert_eq!(of_a, of_b, "modules that one side does not run");
        text.must(" modules was run");
    } else {
        text.must("the ");
        assert_eq!(text.count(), of_a.intersection(&of_b).count());
        assert_ne!(of_a, of_b);
        text.must(" modules that both have was run in B");
    }
    text.must(" on what A's modules computed, for ");
    let passages = text.several("passage");
    text.must(" in ");
    let batches = text.count();
    text.must(" of B's batches. ");
    let watched = watched(forced);
    assert_eq!(passages, watched.len());
    let holds = |batch: &&Vec<(usize, usize)>| batch.iter().any(|(pid, _)| watched.contains(pid));
    let of_b = facts.batches(1);
    assert_eq!(batches, of_b.iter().filter(holds).count());
    // What was compared of each module is as much as the passages have that are told of.
    let tokens = of_b.iter().flatten();
    let tokens: usize = tokens
        .filter_map(|(pid, tokens)| watched.contains(pid).then_some(tokens))
        .sum();
    let culprits = forced["culprits"].as_array().unwrap();
    let probed = facts.probed();
    for culprit in culprits {
        let number = |name: &str| culprit[name].as_u64().unwrap() as usize;
        let module = text_of(&culprit["module"]);
        assert_eq!(number("of"), passages, "{module}");
        assert_eq!(number("elements_of"), tokens * number("width"), "{module}");
        let differ = differing(&probed.a[&module], &probed.b_in_b[&module]);
        let differ = differ.intersection(&watched).count();
        assert_eq!(number("passages"), differ, "{module}");
    }
    let absent = forced["absent"].as_array().unwrap();
    match (culprits.len(), absent.is_empty()) {
        (0, true) => text.must("None computes anything else:"),
        (0, false) => text.must("Of those that both have none computes anything else:"),
        (1, _) => text.must("One computes something else:"),
        (count, _) => {
            assert_eq!(text.count(), count);
            text.must(" compute something else:");
        }
    }
    text.end();
}
