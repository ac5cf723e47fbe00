//! How an artifact is cut into chunks plays no part in what is found.

#![allow(clippy::unwrap_used)]

mod toy;

use std::path::Path;

use concord_lab::diff::{Bits, Numbers};
use concord_pipeline::Value;
use concord_tensor::Tensor;
use concord_tensor::closeness::{Comparison, Tolerance, compare};
use proptest::prelude::*;
use tempfile::tempdir;
use toy::{Keeps, ToyRun, compared, field};

const WIDTH: usize = 3;

/// Numbers among which equal, nearly equal, infinite and undefined ones are not rare.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => Just(1.0f32),
        2 => (0u32..4).prop_map(|ulps| f32::from_bits(1f32.to_bits() + ulps)),
        1 => any::<f32>(),
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
    ]
}

/// Two matrices of the same number of rows, and two ways to cut that number.
fn sides() -> impl Strategy<Value = ([Vec<f32>; 2], [Vec<usize>; 2])> {
    (1usize..12).prop_flat_map(|rows| {
        let values = || prop::collection::vec(number(), rows * WIDTH);
        let cuts = || {
            prop::collection::vec(0..=rows, 0..5).prop_map(move |mut cuts| {
                cuts.extend([0, rows]);
                cuts.sort_unstable();
                cuts
            })
        };
        ([values(), values()], [cuts(), cuts()])
    })
}

fn matrix(values: &[f32]) -> Tensor {
    toy::matrix(WIDTH, values)
}

fn cut(folder: &Path, name: &str, tensor: &Tensor, cuts: &[usize]) -> std::path::PathBuf {
    let chunks = cuts
        .windows(2)
        .map(|ends| Value::from(tensor.slice_rows(ends[0]..ends[1]).unwrap()));
    let run = ToyRun::new(folder, name, Keeps::Values);
    run.artifact("D", chunks).finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_two_cuts_give_what_the_whole_tensors_give((values, cuts) in sides()) {
        let folder = tempdir().unwrap();
        let [a, b] = values.map(|values| matrix(&values));
        let report = compared(
            &cut(folder.path(), "a", &a, &cuts[0]),
            &cut(folder.path(), "b", &b, &cuts[1]),
        );
        let Comparison::Compared(whole) = compare(&a, &b, Tolerance::default()) else {
            panic!("the shapes are the same");
        };
        let field = field(&report, "D");
        prop_assert_eq!(matches!(field.bits, Bits::Same(_)), whole.bits_equal);
        // Where hashes of the same cuts agree, values are not read.
        if let Some(Numbers { report, .. }) = &field.numbers {
            // As text, because figures may be NaN.
            prop_assert_eq!(format!("{report:?}"), format!("{whole:?}"));
        } else {
            prop_assert!(whole.bits_equal && cuts[0] == cuts[1]);
        }
    }
}
