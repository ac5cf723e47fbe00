//! The demo on embedded data.

use crate::program::Workplace;

#[test]
fn the_demo_needs_nothing_and_leaves_nothing_but_what_is_asked_for() {
    let place = Workplace::new();
    let ended = place.done("demo");
    assert!(
        ended.out.contains("The two differ, first in `batches`"),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("values were not kept"), "{}", ended.out);
    assert!(place.names().is_empty());

    let kept = place.done("demo --keep kept");
    assert!(kept.out.starts_with(&ended.out), "it says the same again");
    assert_eq!(
        crate::folder::names(&place.path("kept")),
        ["collection.tsv", "index", "qrels.tsv", "queries.tsv"]
    );
    let same = ended.out.lines().find_map(|line| {
        let (same, rest) = line.trim().split_once(" of ")?;
        let all = rest.strip_suffix(" artifacts and files have the same hash.")?;
        Some(same == all)
    });
    assert_eq!(same, Some(true), "{}", ended.out);
    assert!(
        place
            .run("demo --keep kept")
            .with_code(2)
            .err
            .contains("kept")
    );

    // What was kept is searched like any other index, with the embedded checkpoint.
    let lines = place.done(
        "search kept/index --queries kept/queries.tsv --qrels kept/qrels.tsv --k 10 --out run.tsv",
    );
    let measures = lines.err.lines().last().unwrap_or_default();
    assert!(ended.out.contains(measures), "{measures}\n{}", ended.out);
    let success: f64 = measures.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(
        success >= 0.80,
        "Success@5 of the embedded checkpoint: {measures}"
    );
}
