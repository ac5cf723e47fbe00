//! What has no fixed order, or is no sum, is reported as that.

use std::convert::Infallible;

use concord_lab::reveal::{Order, Pairing, RecoverError, RecoverOptions, recover};

use crate::simulated::{Function, Simulated, tree};

#[test]
fn an_order_that_changes_from_run_to_run_is_reported() {
    let trees =
        [Order::SEQUENTIAL, Order::Pairwise(Pairing::Neighbours)].map(|order| tree(&order, 64));
    for period in [2, 3, 5, 7] {
        let mut operation = Simulated {
            trees: trees.to_vec(),
            choose: Box::new(move |_, _, launch| usize::from(launch % period == 0)),
            ..Simulated::new(trees[0].clone())
        };
        let error = recover(&mut operation, &RecoverOptions::default()).unwrap_err();
        assert!(
            matches!(error, RecoverError::Unstable { .. }),
            "every {period}: {error}"
        );
        assert!(error.to_string().contains("from run to run"));
    }
}

fn refusal(add: impl FnMut(&[f32]) -> f32) -> RecoverError<Infallible> {
    let error = recover(&mut Function(40, add), &RecoverOptions::default()).unwrap_err();
    assert!(error.to_string().contains("not a plain sum"), "{error}");
    error
}

#[test]
fn what_is_no_plain_sum_is_refused() {
    let mean = |x: &[f32]| x.iter().sum::<f32>() / 40.0;
    assert!(matches!(refusal(mean), RecoverError::NotAPureSum { .. }));
    let largest = |x: &[f32]| x.iter().copied().fold(0.0, f32::max);
    assert!(matches!(refusal(largest), RecoverError::NotAPureSum { .. }));
    let overflowing = |x: &[f32]| x.iter().map(|v| v * 2.0).sum::<f32>();
    assert!(matches!(
        refusal(overflowing),
        RecoverError::NotAPureSum { .. }
    ));
    // A sum without error loses no unit, wherever the huge numbers are.
    let exact = |x: &[f32]| {
        x.iter()
            .map(|&v| f64::from(v))
            .filter(|v| v.abs() < 1e30)
            .sum::<f64>() as f32
    };
    assert!(matches!(refusal(exact), RecoverError::NotATree { .. }));
    // Sorting first makes the order depend on the values.
    let sorted = |x: &[f32]| {
        let mut x = x.to_vec();
        x.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
        x.iter().sum::<f32>()
    };
    assert!(matches!(refusal(sorted), RecoverError::NotATree { .. }));
    // Nothing survives a constant, as in one addition of all terms; but it does not count units.
    assert!(matches!(refusal(|_| 0.0), RecoverError::NotAPureSum { .. }));
}

#[test]
fn bounds_are_kept_and_named() {
    let operation = || Simulated::new(tree(&Order::AtOnce, 64));
    let options = RecoverOptions {
        max_launches: 20,
        ..RecoverOptions::default()
    };
    let error = recover(&mut operation(), &options).unwrap_err();
    assert!(matches!(error, RecoverError::TooManyLaunches(20)));

    let mut many = Simulated {
        trees: (1..40)
            .map(|length| tree(&Order::runs(length), 64))
            .collect(),
        choose: Box::new(|place, _, _| place),
        places: 39,
        ..operation()
    };
    let options = RecoverOptions {
        max_orders: 8,
        ..RecoverOptions::default()
    };
    let error = recover(&mut many, &options).unwrap_err();
    assert!(matches!(error, RecoverError::TooManyOrders(8)));
}
