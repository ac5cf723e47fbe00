//! What is said of attention masks, held against those that the runs have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::facts::{Facts, differing};
use crate::text::Text;
use crate::told::{modules_of, watched};

/// `` `bert.encoder.layer.0.attention.self` and 5 more modules, for passage 57 of 120 alone: A attends to all 23 tokens,
/// B not to token 4 ``.
pub fn check(facts: &Facts<'_>, text: &mut Text<'_>) {
    let module = text.quoted();
    let more = match text.eat(" and ") {
        true => text.several("more module"),
        false => 0,
    };
    let at = |path: &str| {
        let [a, b] = [0, 1].map(|side| facts.hidden(side, path).unwrap());
        let differing = a.keys().copied().filter(|pid| a[pid] != b[pid]);
        (differing.collect::<BTreeSet<usize>>(), [a, b])
    };
    let (differing, sides) = at(module);
    let layers: Vec<String> = (0..2)
        .map(|layer| format!("bert.encoder.layer.{layer}.attention.self"))
        .collect();
    let alike = layers.iter().filter(|path| at(path).0 == differing).count();
    assert_eq!(alike, more + 1, "{module}");
    let first = layers.iter().find(|path| !at(path).0.is_empty());
    assert_eq!(first.map(String::as_str), Some(module));
    text.must(", for ");
    let pid = if text.eat("passage ") {
        let only = text.count();
        text.must(" of ");
        assert_eq!(text.count(), sides[0].len());
        text.must(" alone: ");
        assert_eq!(differing, BTreeSet::from([only]));
        only
    } else {
        if text.eat("passages ") {
            let few = text
                .until(" of ")
                .split(", ")
                .map(|pid| pid.parse().unwrap());
            assert_eq!(differing, few.collect());
            assert_eq!(text.count(), sides[0].len());
            text.must(" alone: in passage ");
        } else {
            assert_eq!(text.count(), differing.len());
            text.must(" of ");
            assert_eq!(text.count(), sides[0].len());
            text.must(" passages: in passage ");
        }
        text.count()
    };
    assert_eq!(Some(&pid), differing.first());
    // After "in passage 3" there is a space, after ": " there is none.
    text.eat(" ");
    check_attended(text, &sides, pid);
}

/// The tokens of each passage and those that are hidden from them, of both sides.
type Hidden = [BTreeMap<usize, (usize, Vec<usize>)>; 2];

/// `A attends to all 23 tokens, B not to token 4`.
fn check_attended(text: &mut Text<'_>, sides: &Hidden, pid: usize) {
    for (name, side) in [("A attends ", &sides[0]), (", B ", &sides[1])] {
        text.must(name);
        let (tokens, hidden) = &side[&pid];
        if text.eat("to all ") {
            assert_eq!(text.several("token"), *tokens);
            assert!(hidden.is_empty());
        } else if text.eat("not to token ") {
            assert_eq!(*hidden, [text.count()]);
        } else if text.eat("not to tokens ") {
            let mut told = vec![text.count()];
            // What follows the last token is the other side, or the end.
            while hidden.len() > told.len() && text.eat(", ") {
                told.push(text.count());
            }
            assert_eq!(*hidden, told);
        } else {
            text.must("not to ");
            assert_eq!(text.several("token"), hidden.len());
            text.must(", the first of them ");
            assert_eq!(Some(&text.count()), hidden.first());
        }
    }
}

/// What both sides attend to in a passage, at each of these modules.
pub fn check_sides(facts: &Facts<'_>, text: &mut Text<'_>, modules: &[String], pid: usize) {
    let before = text.clone();
    for module in modules {
        let sides = [0, 1].map(|side| facts.hidden(side, module).unwrap());
        assert_ne!(sides[0][&pid], sides[1][&pid], "{module}");
        *text = before.clone();
        check_attended(text, &sides, pid);
    }
}

/// Whether the masks differ for all passages that were compared and for which a module differs, or for some of them.
pub fn check_wholly(facts: &Facts<'_>, cause: &Json, wholly: bool) {
    let watched = watched(facts.forced_json());
    let probed = facts.probed();
    for module in modules_of(cause) {
        let [a, b] = [0, 1].map(|side| facts.hidden(side, &module).unwrap());
        let differ = differing(&probed.a[&module], &probed.b_in_b[&module]);
        let mut differ = differ.intersection(&watched).peekable();
        assert!(differ.peek().is_some(), "{module}");
        assert_eq!(differ.all(|pid| a[pid] != b[pid]), wholly, "{module}");
    }
}
