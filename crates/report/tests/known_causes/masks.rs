//! What is said of attention masks, held against those that the runs have.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::text::Text;

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
    for (name, side) in [("A attends ", &sides[0]), ("B ", &sides[1])] {
        if name == "A attends " {
            // After "in passage 3" there is a space, after ": " there is none.
            text.eat(" ");
        } else {
            text.must(", ");
        }
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
