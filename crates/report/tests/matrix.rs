//! The table of a matrix and the sentence of a search by halving, as texts.

use concord_lab::Verdict;
use concord_lab::diff::{About, Remark};
use concord_lab::matrix::{ArtifactCounts, FirstTap, PairReport, TapCounts};
use concord_report::{Style, bisection_sentence, matrix_table};

/// Two subjects whose 17 artifacts and 40 modules are the same.
fn same(a: &str, b: &str) -> PairReport {
    PairReport {
        a: a.to_owned(),
        b: b.to_owned(),
        verdict: Verdict::Same,
        artifacts: ArtifactCounts {
            compared: 17,
            same_shape: 17,
            same_bits: 17,
            close: 17,
        },
        first_artifact: None,
        taps: TapCounts {
            compared: 40,
            different: 0,
        },
        first_tap: None,
        embeddings_max_abs: None,
        inputs_differ: Vec::new(),
        options_differ: Vec::new(),
    }
}

/// Two subjects that part inside the encoder.
fn different(a: &str, b: &str) -> PairReport {
    PairReport {
        verdict: Verdict::Different,
        artifacts: ArtifactCounts {
            compared: 17,
            same_shape: 15,
            same_bits: 4,
            close: 9,
        },
        first_artifact: Some("batches".to_owned()),
        taps: TapCounts {
            compared: 40,
            different: 31,
        },
        first_tap: Some(FirstTap {
            module: "bert.encoder.layer.0.attention.self".to_owned(),
            passages: 97,
            of: 1000,
        }),
        embeddings_max_abs: Some(4.2e-7),
        ..same(a, b)
    }
}

/// Two subjects that kept too little.
fn open(a: &str, b: &str) -> PairReport {
    PairReport {
        verdict: Verdict::CannotTell {
            unknown: vec!["codes".to_owned()],
        },
        artifacts: ArtifactCounts {
            compared: 1,
            ..ArtifactCounts::default()
        },
        taps: TapCounts::default(),
        ..same(a, b)
    }
}

fn lines(pairs: &[PairReport]) -> Vec<String> {
    let text = matrix_table(pairs, &Style::default());
    assert!(text.ends_with('\n'), "{text:?}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn pairs_that_are_all_the_same_are_said_to_be() {
    let pairs = [
        same("torch==2.0.0", "torch==2.0.1"),
        same("torch==2.0.1", "torch==2.1.0"),
    ];
    assert_eq!(
        lines(&pairs),
        [
            "A             B             same  shapes =    bits =     close  first artifact  first tap  max abs D",
            "torch==2.0.0  torch==2.0.1  yes   17 of 17  17 of 17  17 of 17",
            "torch==2.0.1  torch==2.1.0  yes   17 of 17  17 of 17  17 of 17",
            "",
            "All 2 pairs are the same, bit for bit.",
        ]
    );
}

#[test]
fn two_subjects_make_one_pair() {
    let sentence = |pair| lines(&[pair]).pop().unwrap_or_default();
    assert_eq!(
        sentence(same("native", "native,batch=3")),
        "The two are the same, bit for bit."
    );
    assert_eq!(
        sentence(different("native", "native,gelu=tanh")),
        "1 of 1 pairs differ: native to native,gelu=tanh."
    );
}

#[test]
fn pairs_that_differ_are_named_below_with_what_differs_first() {
    let pairs = [
        same("torch==2.0.0", "torch==2.0.1"),
        different("torch==2.0.1", "torch==2.1.0"),
        same("torch==2.1.0", "torch==2.1.2"),
        different("torch==2.1.2", "native"),
    ];
    let lines = lines(&pairs);
    assert_eq!(
        lines[2],
        "torch==2.0.1  torch==2.1.0  no    15 of 17   4 of 17   9 of 17  batches         \
         bert.encoder.layer.0.attention.self (97 of 1000)     4.2e-7"
    );
    assert_eq!(lines[4].split_whitespace().next(), Some("torch==2.1.2"));
    assert_eq!(
        lines[5..],
        [
            "",
            "2 of 4 pairs differ: torch==2.0.1 to torch==2.1.0, torch==2.1.2 to native."
        ]
    );
}

#[test]
fn a_pair_with_other_inputs_is_remarked_upon() {
    let mut other = different("run-a", "run-b");
    other.inputs_differ = vec!["checkpoint".to_owned(), "collection".to_owned()];
    let lines = lines(&[other, same("run-b", "run-c")]);
    assert_eq!(
        lines[4..],
        [
            "note: run-a and run-b had another checkpoint; no difference between them says anything of the \
             subjects",
            "note: run-a and run-b had another collection; no difference between them says anything of the \
             subjects",
            "1 of 2 pairs differ: run-a to run-b.",
        ]
    );
}

#[test]
fn what_differs_besides_pytorch_is_remarked_upon_once() {
    let departures = |a: Option<&str>, b: Option<&str>| Remark {
        about: About::Option,
        name: "departures".to_owned(),
        a: a.map(str::to_owned),
        b: b.map(str::to_owned),
    };
    let told = r#"["sympy 1.13.1 instead of 1.14.0: no other is accepted"]"#;
    let mut before = different("torch==2.4.1", "torch==2.5.0");
    before.options_differ = vec![departures(None, Some(told))];
    let mut after = different("torch==2.5.0", "torch==2.7.1");
    after.options_differ = vec![departures(Some(told), None)];
    assert_eq!(
        lines(&[before, after])[4..],
        [
            "note: torch==2.5.0 differs in more than PyTorch: sympy 1.13.1 instead of 1.14.0: no other is \
             accepted",
            "2 of 2 pairs differ: torch==2.4.1 to torch==2.5.0, torch==2.5.0 to torch==2.7.1.",
        ]
    );
}

#[test]
fn a_pair_of_which_it_cannot_be_told_is_neither_the_same_nor_different() {
    let table = lines(&[
        same("a", "b"),
        different("b", "c"),
        open("c", "d"),
        open("d", "e"),
    ]);
    assert!(table[3].starts_with("c  d  ?   "), "{}", table[3]);
    assert_eq!(
        table[6..],
        [
            "1 of 4 pairs differ: b to c.",
            "2 of 4 pairs kept too little to tell: c to d, d to e."
        ]
    );
    assert_eq!(
        lines(&[same("a", "b"), open("b", "c")])[4..],
        ["1 of 2 pairs kept too little to tell: b to c."]
    );
}

#[test]
fn a_wide_table_gives_way_where_the_module_stands() {
    let style = Style {
        width: Some(120),
        ..Style::default()
    };
    let text = matrix_table(&[different("torch==2.0.1", "torch==2.1.0")], &style);
    let row = text.lines().nth(1).unwrap_or_default();
    assert_eq!(row.chars().count(), 120, "{row}");
    assert!(
        row.contains("bert.encoder.lay") && row.contains("…  "),
        "{row}"
    );
    assert!(row.ends_with("4.2e-7"), "{row}");
}

#[test]
fn a_search_by_halving_ends_with_the_pair_and_what_differs_first() {
    let pair = different("torch==2.0.1", "torch==2.1.0");
    assert_eq!(
        bisection_sentence(Some(&pair), "torch==1.13.1", "torch==2.2.0"),
        "torch==2.0.1 and torch==2.1.0 are two neighbours that differ, first in \
         `batches`; inside the encoder, first `bert.encoder.layer.0.attention.self`, for 97 of 1000 \
         passages.\n"
    );
    let outside = PairReport {
        first_tap: None,
        ..pair.clone()
    };
    assert_eq!(
        bisection_sentence(Some(&outside), "torch==1.13.1", "torch==2.2.0"),
        "torch==2.0.1 and torch==2.1.0 are two neighbours that differ, first in \
         `batches`.\n"
    );
    // A module that no artifact depends on, or artifacts that nobody has.
    let inside = PairReport {
        first_artifact: None,
        ..pair
    };
    let sentence = bisection_sentence(Some(&inside), "torch==1.13.1", "torch==2.2.0");
    assert!(
        sentence.contains("that differ, first in what is inside the encoder; inside"),
        "{sentence}"
    );
}

#[test]
fn a_search_that_finds_nothing_says_what_it_did_not_search_for() {
    assert_eq!(
        bisection_sentence(None, "torch==1.13.1", "torch==2.2.0"),
        "torch==1.13.1 and torch==2.2.0 are the same, bit for bit; what changes between them and changes \
         back is not searched for.\n"
    );
}
