//! That a false clause fails: what was printed, with a word of it changed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ask::{Answered, Sides};
use crate::clauses::{check, check_texts};
use crate::facts::Facts;
use crate::tables;

#[test]
fn a_clause_that_is_changed_fails() {
    let shape = "bert.encoder.layer.1.output.dense:gemm=split-k:4@220";
    let a = format!("native,batch=16,{shape}");
    let b = format!("native,batch=40,{shape},cluster:normalize=rsqrt");
    let answered = Answered::new(&a, &b, Sides::Live, &|_| ());
    let facts = Facts::new(&answered);
    let (sentence, lines) = check(&facts);
    let told = [vec![sentence], lines].concat().join("\n");
    for (word, other) in [
        ("part at", "which differ in numerics alone, part at"),
        ("layer.1.output.dense`", "layer.0.output.dense`"),
        ("(linear layer)", "(GELU)"),
        (" passages: ", " passages, in batches of 3 rows and more: "),
        (" of 120 passages", " of 119 passages"),
        ("number of rows", "padded length"),
        ("(A ", "(A 1"),
        ("B computes what A does", "B computes something else"),
        (
            "; in A's batches B computes what A does",
            ", and their code differs as well",
        ),
        ("k-means", "sampling"),
        ("; and at `centroids` (k-means)", ""),
        ("`centroids` (k-means)", "`codes` (the nearest centroid)"),
        ("of 256 products", "of 64 products"),
        ("4 runs of 64", "4 runs of 32"),
        ("runs of 192, 64", "runs of 128, 128"),
        ("added pairwise", "added in order"),
        (" of 21 artifacts", " of 20 artifacts"),
        ("of the 8 that follow", "of the 9 that follow"),
        ("alone ", "alone 9"),
    ] {
        assert!(told.contains(word), "no `{word}` in: {told}");
        let changed = told.replace(word, other);
        let mut texts = changed.lines().map(str::to_owned);
        let sentence = texts.next().unwrap();
        let lines: Vec<String> = texts.collect();
        let checked = AssertUnwindSafe(|| check_texts(&facts, &sentence, &lines));
        assert!(
            catch_unwind(checked).is_err(),
            "`{other}` passes: {changed}"
        );
    }
}

#[test]
fn passages_and_batches_beside_those_that_were_compared_are_not_counted() {
    let b = "native,bert.encoder.layer.1:gelu=tanh";
    let answered = Answered::new("native", b, Sides::Live, &|_| ());
    let facts = Facts::new(&answered);
    let printed = tables::printed(&facts);
    tables::check(&facts, &printed);
    let explanation = &answered.explanation;
    let forced = explanation.encoder.as_ref().unwrap().forced.as_ref();
    let forced = forced.unwrap();
    let (compared, run) = (
        forced.watched.len(),
        forced.batches.iter().map(|b| b.pids.len()).sum::<usize>(),
    );
    assert!(compared < run, "{compared} of {run}");
    let (batches, modules) = (forced.batches.len(), forced.modules);
    for (words, other) in [
        (
            format!("for {compared} passages"),
            format!("for {run} passages"),
        ),
        (
            format!("in {batches} of B's"),
            format!("in {} of B's", batches + 1),
        ),
        (
            format!("B's {modules} modules was run"),
            format!("B's {} modules was run", modules + 1),
        ),
        (
            format!("B's {modules} modules was run"),
            format!("the {modules} modules that both have was run in B"),
        ),
        ("One computes".to_owned(), "None computes".to_owned()),
        (
            " passages differ".to_owned(),
            "0 passages differ".to_owned(),
        ),
    ] {
        assert!(printed.contains(&words), "no `{words}` in: {printed}");
        let changed = printed.replace(&words, &other);
        let checked = AssertUnwindSafe(|| tables::check(&facts, &changed));
        assert!(catch_unwind(checked).is_err(), "`{other}` passes");
    }
}
