//! What of the shape of a batch decides, held against what is so.

use serde_json::Value as Json;

use crate::facts::{Facts, differing};
use crate::reasons::shape_of;
use crate::text::Text;
use crate::told::modules_of;
use crate::ways;

/// What of a batch is said to decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    Rows,
    Tokens,
    Passages,
    Place,
    Neighbours,
}

/// How several are said to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Alone,
    Together,
    Untold,
}

/// `the number of rows of the batch decides (A 57, B 338)`, and what stands for it after `by`.
pub fn check(facts: &Facts<'_>, cause: &Json, text: &mut Text<'_>, verb: &str) {
    let (how, told) = what(text, verb);
    text.must(" (A ");
    let mut rows = [0; 2];
    for (side, end) in [", B ", ")"].into_iter().enumerate() {
        let mut told_of = text.until(end);
        if let Some((batch, passage)) = told_of.split_once("; passage ") {
            assert!(told.contains(&Told::Place), "{passage}");
            told_of = batch;
            check_places(facts, cause, passage);
        }
        rows[side] = check_shape(facts, side, told_of);
    }
    let probed = facts.probed();
    for module in modules_of(cause) {
        let (alone, with_b) = (&probed.a[&module], &probed.a_in_b[&module]);
        let shown = differing(alone, with_b);
        let such = |pid: &&usize| [0, 1].map(|side| facts.rows_of(side, **pid)) == rows;
        let shown: Vec<usize> = shown.iter().filter(such).copied().collect();
        assert!(!shown.is_empty(), "{module} at {rows:?}");
        // Neighbours, padding and places are as they are: the rows alone are changed.
        assert_eq!((how, told.as_slice()), (How::Alone, &[Told::Rows][..]));
        let inputs = reads(facts, &module);
        let shape = shape_of(facts, &module, inputs, rows[0]);
        assert!(
            ways::depends_on_rows(&facts.runners[0], &module, shape, rows[1]),
            "{module}"
        );
    }
}

/// What decides, and how.
fn what(text: &mut Text<'_>, verb: &str) -> (How, Vec<Told>) {
    let untold = match verb.is_empty() {
        true => "the batch, and what of it could not be told",
        false => "the batch decides, and what of it could not be told",
    };
    if text.eat(untold) {
        return (How::Untold, Vec::new());
    }
    let known = [
        ("the number of rows of the batch", Told::Rows),
        ("the padded length of the batch", Told::Tokens),
        ("the number of passages in the batch", Told::Passages),
        ("the passage's place in the batch", Told::Place),
        ("what else is in the batch", Told::Neighbours),
    ];
    let mut told = Vec::new();
    loop {
        let found = known.iter().find(|(words, _)| text.eat(words));
        let Some((_, dimension)) = found else {
            text.unknown("no dimension")
        };
        assert!(!told.contains(dimension), "{dimension:?} twice");
        told.push(*dimension);
        if text.goes_on_with(", the ") {
            text.must(", ");
        } else if !text.eat(" and ") {
            break;
        }
    }
    let [one, each, together] = match verb.is_empty() {
        true => ["", ", each alone", " together, by none alone"],
        false => [
            " decides",
            " decide, each alone",
            " decide together, none alone",
        ],
    };
    if text.eat(together) {
        return (How::Together, told);
    }
    text.must(if told.len() == 1 { one } else { each });
    (How::Alone, told)
}

/// `57 is number 8 and 20`: the places of a passage, counted from 1.
fn check_places(facts: &Facts<'_>, cause: &Json, told: &str) {
    let (pid, places) = told.split_once(" is number ").unwrap();
    let (a, b) = places.split_once(" and ").unwrap();
    let [pid, a, b] = [pid, a, b].map(|text| text.replace(',', "").parse::<usize>().unwrap());
    assert_eq!(cause["why"]["shapes"]["pid"], pid);
    let place = |side| {
        let batch = facts.batch_of(side, pid).into_iter();
        batch
            .map(|(own, _)| own)
            .take_while(|own| *own != pid)
            .count()
            + 1
    };
    assert_eq!([a, b], [place(0), place(1)], "{told}");
    assert_ne!(a, b);
}

/// `3 × 19 = 57`, or `57`: the rows of a batch of that side.
fn check_shape(facts: &Facts<'_>, side: usize, told: &str) -> usize {
    let number = |text: &str| text.replace(',', "").parse::<usize>().unwrap();
    let Some((product, rows)) = told.split_once(" = ") else {
        return number(told);
    };
    let (passages, tokens) = product.split_once(" × ").unwrap();
    let [passages, tokens, rows] = [passages, tokens, rows].map(number);
    assert_eq!(passages * tokens, rows);
    let is_it = |batch: &Vec<(usize, usize)>| {
        batch.len() == passages && batch.iter().all(|(_, own)| *own == tokens)
    };
    assert!(facts.batches(side).iter().any(is_it), "{told}");
    rows
}

/// The width of what a linear layer reads.
fn reads(facts: &Facts<'_>, module: &str) -> usize {
    let read = &crate::facts::reads(module)[0];
    let (pid, values) = facts.probed().a[read].iter().next().unwrap();
    let batches = facts.batches(0);
    let mut all = batches.iter().flatten();
    values.len() / all.find(|(other, _)| other == pid).unwrap().1
}
