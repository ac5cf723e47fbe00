//! What files of embeddings hold, and which are refused.

use std::fs;
use std::path::PathBuf;

use concord_engine::buildable::Buildable;
use concord_engine::embeddings::{
    EmbeddingFiles, GivenError, GivenIndex, GivenPassages, GivenQueries, GivenSettings,
};
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_pipeline::NoProgress;
use concord_tensor::{Tensor, safetensors};
use proptest::prelude::*;

use crate::given::{Place, open, rows};

#[test]
fn queries_are_read_from_every_form() {
    let place = Place::new();
    let one = rows(3, 16, |at| at as f32 + 1.0);
    let two = Tensor::new(
        vec![2, 3, 16],
        (1..97).map(|v| v as f32).collect::<Vec<f32>>(),
    )
    .unwrap();
    let lengths = |path: PathBuf| {
        let queries = GivenQueries::read(&path).unwrap();
        let each = queries.queries.into_iter();
        each.map(|query| (query.id, query.embeddings.len() / queries.width))
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(place.npy("one.npy", &one)), [("0".to_owned(), 3)]);
    let named = |id: &str, length| (id.to_owned(), length);
    assert_eq!(
        lengths(place.npy("two.npy", &two)),
        [named("0", 3), named("1", 3)]
    );
    let ragged = [
        ("q10".to_owned(), one.clone()),
        ("q9".to_owned(), rows(2, 16, |_| 1.0)),
    ];
    safetensors::write(place.path("ragged.safetensors"), &ragged).unwrap();
    assert_eq!(
        lengths(place.path("ragged.safetensors")),
        [named("q9", 2), named("q10", 3)]
    );
}

#[test]
fn what_cannot_be_indexed_is_named_in_one_line_and_nothing_is_written() {
    let place = Place::new();
    let good = rows(6, 16, |at| (at as f32).sin());
    let with = |at: usize, value: f32| {
        let mut values = good.as_slice::<f32>().unwrap().to_vec();
        values[at] = value;
        Tensor::new(vec![6, 16], values).unwrap()
    };
    let zero = {
        let mut values = good.as_slice::<f32>().unwrap().to_vec();
        values[32..48].fill(-0.0);
        Tensor::new(vec![6, 16], values).unwrap()
    };
    let said = |files: &EmbeddingFiles| {
        let compute = Compute::new(&ComputeOptions::default()).unwrap();
        let settings = GivenSettings::default();
        let index = open(files).map_err(GivenError::from);
        match index.and_then(|given| GivenIndex::new(given, settings, compute, &NoProgress)) {
            Ok(_) => panic!("{files:?} was taken"),
            Err(error) => error.to_string(),
        }
    };
    let cases: [(&str, Tensor, &[i64], &str); 8] = [
        (
            "nan",
            with(40, f32::NAN),
            &[2, 4],
            "embedding 0 of passage 1 is not finite (NaN)",
        ),
        (
            "infinite",
            with(5 * 16, f32::NEG_INFINITY),
            &[2, 4],
            "embedding 3 of passage 1 is not finite (-inf)",
        ),
        (
            "large",
            with(3, 1e6),
            &[2, 4],
            "embedding 0 of passage 0 is not finite once it is rounded",
        ),
        ("zero", zero, &[0, 2, 4], "embedding 0 of passage 2 is zero"),
        (
            "sum",
            good.clone(),
            &[2, 3],
            "adds up to 5 embeddings in 2 passages, and there are 6",
        ),
        (
            "negative",
            good.clone(),
            &[8, -2],
            "passage 1 cannot have -2 embeddings",
        ),
        (
            "narrow",
            rows(6, 8, |_| 1.0),
            &[6],
            "width 8: an index takes multiples of 8 from 16 to 1024",
        ),
        ("odd", rows(6, 20, |_| 1.0), &[6], "width 20"),
    ];
    for (name, embeddings, doclens, expected) in cases {
        let message = said(&place.cut(&embeddings, doclens));
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains('\n'));
    }
    let mut files = place.cut(&good, &[2, 4]);
    for (ids, expected) in [
        ("a\nb\nc\n", "has 3 ids, and there are 2 passages"),
        ("a\na\n", "the id \"a\" of line 1 comes again in line 2"),
        ("a\n\n", "line 2 is empty"),
    ] {
        files.ids = Some(place.text("ids.txt", ids));
        let message = said(&files);
        assert!(message.contains(expected), "{message}");
    }
    files.ids = Some(place.text("ids.txt", "first\nsecond\n"));
    place.npy("embeddings.npy", &with(40, f32::NAN));
    let message = said(&files);
    assert!(
        message.contains("embedding 0 of passage 1 (\"second\")"),
        "{message}"
    );
    files = place.cut(&good, &[2, 4]);
    files.doclens = None;
    assert!(said(&files).contains("give --doclens"));
    files = place.cut(&good, &[2, 4]);
    files
        .embeddings
        .push(place.npy("wider.npy", &rows(2, 24, |_| 1.0)));
    assert!(said(&files).contains("24 wide, and those before them 16"));
    files.embeddings = vec![place.npy(
        "whole.npy",
        &Tensor::new(vec![2, 16], vec![1i64; 32]).unwrap(),
    )];
    assert!(said(&files).contains("holds i64"));
    files.embeddings = vec![place.npy("none.npy", &rows(0, 16, |_| 1.0))];
    files.doclens = Some(place.text("none.txt", ""));
    assert!(said(&files).contains("there are no embeddings"));
    // A file that ends early.
    let whole = fs::read(place.npy("cut.npy", &good)).unwrap();
    fs::write(place.path("cut.npy"), &whole[..whole.len() - 3]).unwrap();
    files = place.cut(&good, &[6]);
    files.embeddings = vec![place.path("cut.npy")];
    assert!(said(&files).contains("cut.npy"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the embeddings are cut into, the files are those of the same passages.
    #[test]
    fn files_are_read_as_one(
        doclens in prop::collection::vec(0i64..9, 1..40),
        cuts in prop::collection::vec(0.0f64..1.0, 0..4),
        width in (2usize..8).prop_map(|eights| 8 * eights),
        seed in 0u32..1000,
    ) {
        let total = doclens.iter().sum::<i64>() as usize;
        prop_assume!(total > 0);
        let value = |at: usize| ((at as f32 + seed as f32) * 0.7).sin() + 1.5;
        let all = rows(total, width, value);
        let place = Place::new();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * total as f64) as usize).collect();
        ends.push(total);
        ends.sort_unstable();
        let (mut first, mut embeddings) = (0, Vec::new());
        for (number, &end) in ends.iter().enumerate() {
            let part = all.slice_rows(first..end).unwrap();
            embeddings.push(place.npy(&format!("{number}.npy"), &part));
            first = end;
        }
        let files = EmbeddingFiles {
            embeddings,
            doclens: Some(place.text("doclens.json", &format!("{doclens:?}"))),
            ids: None,
        };
        let whole = place.cut(&all, &doclens);
        let (parts, whole) = (open(&files).unwrap(), open(&whole).unwrap());
        prop_assert_eq!(parts.embeddings(), total);
        prop_assert_eq!(parts.passages(), doclens.len());
        let hash = |passages: GivenPassages| {
            let compute = Compute::new(&ComputeOptions::default()).unwrap();
            let settings = GivenSettings { nbits: Some(1), ..GivenSettings::default() };
            GivenIndex::new(passages, settings, compute, &NoProgress).unwrap().inputs()
        };
        prop_assert_eq!(hash(parts), hash(whole));
    }
}
