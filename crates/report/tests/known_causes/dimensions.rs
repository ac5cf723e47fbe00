//! What of the shape of a batch decides, held against what is so.

use serde_json::Value as Json;

use crate::facts::{Facts, differing};
use crate::reasons::shape_of;
use crate::stand_in::When;
use crate::text::Text;
use crate::told::modules_of;
use crate::ways;

/// What of a batch is said to decide.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Rows,
    Tokens,
    Passages,
    Shape,
    Place,
}

/// The batch of a passage, as far as it can decide.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Batch {
    passages: usize,
    tokens: usize,
    place: usize,
}

/// `the number of rows of the batch decides (A 57, B 338)`.
pub fn check(facts: &Facts<'_>, cause: &Json, text: &mut Text<'_>, verb: &str) {
    let told = [
        ("the number of rows of the batch", Told::Rows),
        ("the padded length of the batch", Told::Tokens),
        ("the number of passages in the batch", Told::Passages),
        ("the shape of the batch", Told::Shape),
        ("the passage's place in the batch", Told::Place),
    ];
    let told = told.into_iter().find(|(words, _)| text.eat(words));
    let Some((_, told)) = told else {
        text.unknown("no dimension")
    };
    text.must(&format!("{verb} (A "));
    let mut rows = [0; 2];
    for (side, end) in [", B ", ")"].into_iter().enumerate() {
        rows[side] = check_shape(facts, side, text.until(end));
    }
    let probed = facts.probed();
    for module in modules_of(cause) {
        let (alone, with_b) = (&probed.a[&module], &probed.a_in_b[&module]);
        let shown = differing(alone, with_b);
        let such = |pid: &&usize| [0, 1].map(|side| facts.rows_of(side, **pid)) == rows;
        let shown: Vec<usize> = shown.iter().filter(such).copied().collect();
        assert!(!shown.is_empty(), "{module} at {rows:?}");
        if facts.answered.made[0].pads() {
            let right = |pid: &usize| decides(facts, &module, *pid) == told;
            assert!(shown.iter().any(right), "{module}: {told:?} of {shown:?}");
        } else {
            // Neighbours, padding and places are as they are: the rows alone are changed.
            assert_eq!(told, Told::Rows);
            let inputs = reads(facts, &module);
            let shape = shape_of(facts, &module, inputs, rows[0]);
            assert!(
                ways::depends_on_rows(&facts.runners[0], &module, shape, rows[1]),
                "{module}"
            );
        }
    }
}

/// `3 × 19 = 57`, or `57`: the rows of a batch of that side.
fn check_shape(facts: &Facts<'_>, side: usize, told: &str) -> usize {
    let number = |text: &str| text.replace(',', "").parse::<usize>().unwrap();
    let Some((product, rows)) = told.split_once(" = ") else {
        assert!(!facts.answered.made[side].pads(), "{told}");
        return number(told);
    };
    let (passages, tokens) = product.split_once(" × ").unwrap();
    let [passages, tokens, rows] = [passages, tokens, rows].map(number);
    assert_eq!(passages * tokens, rows);
    let is_it = |batch: &Vec<(usize, usize)>| {
        let padded = facts.padded(side, batch);
        batch.len() == passages
            && match padded {
                Some(padded) => padded == tokens,
                None => batch.iter().all(|(_, own)| *own == tokens),
            }
    };
    assert!(facts.batches(side).iter().any(is_it), "{told}");
    rows
}

/// What of its batch makes the first side give something else for a passage at a module, by the rules that it is
/// altered by.
fn decides(facts: &Facts<'_>, module: &str, pid: usize) -> Told {
    let [a, b] = [0, 1].map(|side| {
        let batch = facts.batch_of(side, pid);
        let place = batch.iter().position(|(own, _)| *own == pid);
        Batch {
            passages: batch.len(),
            tokens: facts.padded(side, &batch).unwrap(),
            place: place.unwrap(),
        }
    });
    let rules = facts.answered.made[0].rules_at(module);
    let altered = |batch: Batch| -> Vec<bool> {
        let applies = |when: When| match when {
            When::Tokens(more) => batch.tokens > more,
            When::Passages(more) => batch.passages > more,
            When::Place(more) => batch.place > more,
            When::Sdpa | When::EachTime | When::Hides(..) => false,
        };
        rules.iter().map(|rule| applies(rule.when)).collect()
    };
    let changes = |batch: Batch| altered(batch) != altered(a);
    let by_tokens = changes(Batch {
        tokens: b.tokens,
        ..a
    });
    let by_passages = changes(Batch {
        passages: b.passages,
        ..a
    });
    let by_place = changes(Batch {
        place: b.place,
        ..a
    });
    match [by_tokens, by_passages, by_place] {
        [true, false, false] => Told::Tokens,
        [false, true, false] => Told::Passages,
        [false, false, true] => Told::Place,
        _ => Told::Shape,
    }
}

/// The width of what a linear layer reads.
fn reads(facts: &Facts<'_>, module: &str) -> usize {
    let read = &crate::facts::reads(module)[0];
    let (pid, values) = facts.probed().a[read].iter().next().unwrap();
    let batches = facts.batches(0);
    let mut all = batches.iter().flatten();
    values.len() / all.find(|(other, _)| other == pid).unwrap().1
}
