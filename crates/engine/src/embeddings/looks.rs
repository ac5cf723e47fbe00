//! Whether embeddings can be indexed or searched for: which are finite and none is zero.

use half::f16;

use super::error::Problem;

/// What was seen of the embeddings of some rows: the least and the greatest length.
pub(super) type Lengths = (f64, f64);

pub(super) fn both(a: Lengths, b: Lengths) -> Lengths {
    (a.0.min(b.0), a.1.max(b.1))
}

pub(super) const NO_LENGTHS: Lengths = (f64::INFINITY, f64::NEG_INFINITY);

/// How long rows are, or which is of no use and why; `rounded` is what becomes of them.
pub(super) fn look_at(
    values: &[f32],
    rounded: &[f16],
    width: usize,
) -> Result<Lengths, (usize, Problem)> {
    let mut lengths = NO_LENGTHS;
    let rows = values.chunks_exact(width).zip(rounded.chunks_exact(width));
    for (row, (values, rounded)) in rows.enumerate() {
        let square: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let finite = rounded
            .iter()
            .fold(true, |all, value| all & value.is_finite());
        let zero = rounded
            .iter()
            .fold(true, |all, value| all & (value.to_bits() & 0x7fff == 0));
        if !finite || zero {
            check(values, rounded).map_err(|problem| (row, problem))?;
        }
        lengths = both(lengths, (square.sqrt(), square.sqrt()));
    }
    Ok(lengths)
}

/// What is wrong with an embedding, if something is.
fn check(values: &[f32], rounded: &[f16]) -> Result<(), Problem> {
    if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
        return Err(Problem::NotFinite(value.into()));
    }
    if values.iter().all(|value| *value == 0.0) {
        return Err(Problem::Zero);
    }
    let mut both = values.iter().zip(rounded);
    if let Some((&value, _)) = both.find(|(_, rounded)| !rounded.is_finite()) {
        return Err(Problem::TooLarge(value.into()));
    }
    match rounded
        .iter()
        .all(|value| *value == f16::ZERO || *value == f16::NEG_ZERO)
    {
        true => Err(Problem::TooSmall),
        false => Ok(()),
    }
}
