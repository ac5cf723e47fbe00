//! What of the shape of a batch decides, held against what is so.

use serde_json::Value as Json;

use crate::facts::{Facts, differing};
use crate::reasons::shape_of;
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
