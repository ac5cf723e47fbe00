//! What of the shape of a batch decides, held against what is so.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::facts::{Facts, differing};
use crate::reasons::shape_of;
use crate::rules::{Around, Rule, When, applying};
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
        let pid = cause["why"]["shapes"]["pid"].as_u64().unwrap() as usize;
        let such = |pid: &&usize| [0, 1].map(|side| facts.rows_of(side, **pid)) == rows;
        let shown: Vec<usize> = shown.iter().filter(such).copied().collect();
        assert!(!shown.is_empty(), "{module} at {rows:?}");
        if facts.answered.made[0].pads() {
            // The passage is that of the first module; another may be shown by another.
            let pid = Some(pid)
                .filter(|pid| shown.contains(pid))
                .unwrap_or(shown[0]);
            check_padded(facts, &module, pid, how, &told);
        } else {
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
}

/// The batch of a passage, as far as it can decide.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Batch {
    passages: usize,
    tokens: usize,
    place: usize,
}

const CHANGED: [Told; 3] = [Told::Tokens, Told::Passages, Told::Place];

impl Batch {
    fn with(self, told: Told, of: Batch) -> Batch {
        let mut changed = self;
        match told {
            Told::Tokens => changed.tokens = of.tokens,
            Told::Passages => changed.passages = of.passages,
            Told::Place => changed.place = of.place,
            Told::Rows | Told::Neighbours => panic!("{told:?} cannot be changed alone"),
        }
        changed
    }
}

/// That what is told, and nothing else, makes the first side give something else for a passage: by the rules that it
/// is altered by, and by running it in batches of these tests.
fn check_padded(facts: &Facts<'_>, module: &str, pid: usize, how: How, told: &[Told]) {
    let [a, b] = [0, 1].map(|side| {
        let batch = facts.batch_of(side, pid);
        Batch {
            passages: batch.len(),
            tokens: facts.padded(side, &batch).unwrap(),
            place: batch.iter().position(|(own, _)| *own == pid).unwrap(),
        }
    });
    let rules = facts.answered.made[0].rules_at(module);
    let whens: Vec<When> = rules.iter().flat_map(|rule| rule.when.clone()).collect();
    if told == [Told::Neighbours] {
        let beside = |when: &When| matches!(when, When::Beside(_));
        assert!(!whens.is_empty() && whens.iter().all(beside), "{whens:?}");
        assert_ne!(whole(facts, &rules, 0, pid), whole(facts, &rules, 1, pid));
        return;
    }
    // Of the batches that can be, those most like the first side's are changed, then those most like the second's.
    let changes = |dimension| {
        let rest: Vec<Told> = CHANGED.into_iter().filter(|of| *of != dimension).collect();
        let some = [a.with(rest[0], b), a.with(rest[1], b)];
        let contexts = [&[a, b][..], &some].concat();
        let found = contexts.into_iter().find_map(|rest| {
            let [one, other] = [rest.with(dimension, a), rest.with(dimension, b)];
            let fitting = one.tokens.min(other.tokens);
            let [ran, ran_other] =
                [one, other].map(|batch| ran(facts, module, pid, batch, fitting));
            let by_rules = applied(&rules, pid, one) != applied(&rules, pid, other);
            assert_eq!(
                ran.clone()? != ran_other.clone()?,
                by_rules,
                "{module}: {one:?}, {other:?}"
            );
            Some(by_rules)
        });
        found.unwrap_or(false)
    };
    let alone: Vec<Told> = CHANGED.into_iter().filter(|told| changes(*told)).collect();
    match how {
        How::Alone if told[0] == Told::Rows => {
            let is_of_rows = |when: &When| matches!(when, When::Rows(_));
            assert!(whens.iter().any(is_of_rows), "{whens:?}");
            let others = |told: &&Told| !matches!(told, Told::Tokens | Told::Passages);
            let others: Vec<Told> = alone.iter().filter(others).copied().collect();
            assert_eq!(told[1..], others, "{module}");
            let of_shape = |when: &When| matches!(when, When::Tokens(_) | When::Passages(_));
            assert!(!whens.iter().any(of_shape), "{whens:?}");
        }
        How::Alone => assert_eq!(told, alone, "{module}: {a:?}, {b:?}"),
        How::Together => {
            assert_eq!(alone, [], "{module}: {a:?}, {b:?}");
            assert_ne!(applied(&rules, pid, a), applied(&rules, pid, b));
            let differing = |told: &Told| a.with(*told, b) != a;
            let differing: Vec<Told> = CHANGED.into_iter().filter(differing).collect();
            assert_eq!(told, differing);
        }
        How::Untold => panic!("{module}: {a:?} and {b:?} can be told apart"),
    }
}

/// The rules that apply to a passage in such a batch, whatever else is in it.
fn applied(rules: &[Rule], pid: usize, batch: Batch) -> BTreeSet<usize> {
    let pids = (0..batch.passages).map(|place| match place == batch.place {
        true => pid,
        // Passages that are not there.
        false => usize::MAX - place,
    });
    let pids: Vec<usize> = pids.collect();
    applying(
        rules,
        &Around {
            pid,
            pids: &pids,
            tokens: batch.tokens,
            sdpa: false,
        },
    )
}

/// The rules that apply to a passage in its batch on a side.
fn whole(facts: &Facts<'_>, rules: &[Rule], side: usize, pid: usize) -> BTreeSet<usize> {
    let batch = facts.batch_of(side, pid);
    let pids: Vec<usize> = batch.iter().map(|(pid, _)| *pid).collect();
    let tokens = facts.padded(side, &batch).unwrap();
    let around = Around {
        pid,
        pids: &pids,
        tokens,
        sdpa: false,
    };
    applying(rules, &around)
}

/// What the first side gives at a module for a passage in such a batch, among passages of no more than `tokens`
/// tokens; `None` where they do not suffice.
fn ran(
    facts: &Facts<'_>,
    module: &str,
    pid: usize,
    batch: Batch,
    tokens: usize,
) -> Option<Vec<u32>> {
    let all = facts.batches(0).concat();
    let fits = |(other, own): &&(usize, usize)| *other != pid && *own <= tokens;
    if all
        .iter()
        .any(|(other, own)| *other == pid && *own > tokens)
    {
        return None;
    }
    let mut pids: Vec<usize> = all.iter().filter(fits).map(|(pid, _)| *pid).collect();
    pids.sort_unstable_by_key(|pid| std::cmp::Reverse(*pid));
    pids.truncate(batch.passages - 1);
    if pids.len() + 1 < batch.passages || batch.place >= batch.passages {
        return None;
    }
    pids.insert(batch.place, pid);
    let values = facts.in_batch(&pids, batch.tokens, module);
    Some(values[module][&pid].clone())
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
        ("the batch's number of rows", Told::Rows),
        ("the batch's padded length", Told::Tokens),
        ("the batch's number of passages", Told::Passages),
        ("the number of rows of the batch", Told::Rows),
        ("the padded length of the batch", Told::Tokens),
        ("the number of passages in the batch", Told::Passages),
        ("the passage's place in the batch", Told::Place),
        ("the passage's place", Told::Place),
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
        assert!(!facts.answered.made[side].pads(), "{told}");
        return number(told);
    };
    let (passages, tokens) = product.split_once(" × ").unwrap();
    let [passages, tokens, rows] = [passages, tokens, rows].map(number);
    assert_eq!(passages * tokens, rows);
    let is_it = |batch: &Vec<(usize, usize)>| {
        batch.len() == passages
            && match facts.padded(side, batch) {
                Some(padded) => padded == tokens,
                None => batch.iter().all(|(_, own)| *own == tokens),
            }
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
