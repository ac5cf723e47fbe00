//! Ways to compute the mean and the variance of a row.

use super::choices::product_sum;
use super::sums::SumOrder;

/// The terms of one lane that are taken together before they are combined with others.
const CHUNK: usize = 16;

/// A way to compute the mean and the variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moments {
    /// The mean, then the mean of the squared differences from it.
    TwoPass { order: SumOrder, fused: bool },
    /// The mean of the squares less the square of the mean, fused into that or not; not below zero.
    OnePass {
        order: SumOrder,
        fused: bool,
        fused_square: bool,
    },
    /// Value after value (Welford, 1962), in one lane.
    Welford { fused: bool },
    /// Welford's way in each of several lanes over runs of 16, the runs combined as in a cascade and the
    /// lanes one after the other (Chan, Golub and LeVeque, 1979).
    Cascade {
        lanes: usize,
        fused: bool,
        combined: Combined,
    },
    /// Both passes in `f64`.
    Double,
}

/// How the squared differences of two runs make those of both; lanes are always combined in the first way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combined {
    /// What lies between the means is added to the squares of one run, and their sum to those of the other.
    ByRuns,
    /// The squares of both are added, and what lies between the means to their sum.
    SquaresFirst,
}

/// How many values, their mean, and the sum of the squared differences from it.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    count: usize,
    mean: f32,
    squares: f32,
}

impl Moments {
    /// The ways for a row of `width`, those of documents first.
    pub(super) fn all(width: usize) -> Vec<Moments> {
        let mut ways = vec![Moments::Double];
        for order in SumOrder::all(width) {
            let fusions: &[bool] = if order.can_fuse() {
                &[true, false]
            } else {
                &[false]
            };
            for &fused in fusions {
                ways.push(Moments::TwoPass { order, fused });
                ways.extend([false, true].map(|fused_square| Moments::OnePass {
                    order,
                    fused,
                    fused_square,
                }));
            }
        }
        for fused in [true, false] {
            ways.push(Moments::Welford { fused });
            for combined in [Combined::ByRuns, Combined::SquaresFirst] {
                let lanes = [4, 8, 16].into_iter();
                // Of one run there is nothing to combine.
                let lanes =
                    lanes.filter(|lanes| combined == Combined::ByRuns || width / lanes > CHUNK);
                ways.extend(lanes.map(|lanes| Moments::Cascade {
                    lanes,
                    fused,
                    combined,
                }));
            }
        }
        ways
    }

    /// The mean and the variance.
    pub(super) fn of(self, row: &[f32]) -> (f32, f32) {
        let count = row.len() as f32;
        match self {
            Moments::Double => {
                let count = f64::from(count);
                let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
                let squares = row.iter().map(|&x| (f64::from(x) - mean).powi(2));
                (mean as f32, (squares.sum::<f64>() / count) as f32)
            }
            Moments::TwoPass { order, fused } => {
                let mean = order.sum(row) / count;
                let differences: Vec<f32> = row.iter().map(|x| x - mean).collect();
                (mean, order.sum_of_squares(&differences, fused) / count)
            }
            Moments::OnePass {
                order,
                fused,
                fused_square,
            } => {
                let mean = order.sum(row) / count;
                let square = order.sum_of_squares(row, fused) / count;
                let variance = product_sum(-mean, mean, square, fused_square);
                (mean, if variance > 0.0 { variance } else { 0.0 })
            }
            Moments::Welford { fused } => {
                let all = welford(row.iter().copied(), fused);
                (all.mean, all.squares / count)
            }
            Moments::Cascade {
                lanes,
                fused,
                combined,
            } => {
                let all = cascade(row, lanes, fused, combined);
                (all.mean, all.squares / count)
            }
        }
    }

    /// In words.
    pub(super) fn words(self) -> String {
        let fused_into = |fused| {
            if fused {
                ", squares fused into them"
            } else {
                ""
            }
        };
        match self {
            Moments::Double => "two passes in f64, mean and variance rounded to f32".to_owned(),
            Moments::TwoPass { order, fused } => {
                format!("two passes, sums {order}{}", fused_into(fused))
            }
            Moments::OnePass {
                order,
                fused,
                fused_square,
            } => {
                let square = if fused_square { ", mean² fused" } else { "" };
                let fused = fused_into(fused);
                format!("one pass, E[x²] − mean², sums {order}{fused}{square}")
            }
            Moments::Welford { fused } => format!("Welford in one lane, {}", fusion(fused)),
            Moments::Cascade {
                lanes,
                fused,
                combined,
            } => {
                let combined = match combined {
                    Combined::ByRuns => "",
                    Combined::SquaresFirst => ", the squares of two runs added first",
                };
                format!(
                    "Welford in {lanes} lanes over runs of {CHUNK}, combined as a cascade{combined}, {}",
                    fusion(fused)
                )
            }
        }
    }
}

fn fusion(fused: bool) -> &'static str {
    if fused { "fused" } else { "unfused" }
}

/// Welford's way with the reciprocals of the counts as factors.
fn welford(values: impl Iterator<Item = f32>, fused: bool) -> Running {
    values.fold(Running::default(), |all, x| {
        let count = all.count + 1;
        let difference = x - all.mean;
        let mean = product_sum(difference, 1.0 / count as f32, all.mean, fused);
        Running {
            count,
            mean,
            squares: product_sum(difference, x - mean, all.squares, fused),
        }
    })
}

/// Welford's way with divisions by the counts.
fn welford_divided(values: &[f32], fused: bool) -> Running {
    values.iter().fold(Running::default(), |all, &x| {
        let count = all.count + 1;
        let difference = x - all.mean;
        let mean = all.mean + difference / count as f32;
        Running {
            count,
            mean,
            squares: product_sum(difference, x - mean, all.squares, fused),
        }
    })
}

impl Combined {
    /// The moments of two sets of values together (Chan, Golub and LeVeque).
    fn of(self, all: Running, more: Running, fused: bool) -> Running {
        let count = all.count + more.count;
        let share = match count {
            0 => 0.0,
            _ => more.count as f32 / count as f32,
        };
        let difference = more.mean - all.mean;
        let before = all.count as f32;
        let (mean, squares) = match self {
            Combined::ByRuns => {
                let between = difference * difference * share;
                (
                    product_sum(share, difference, all.mean, fused),
                    all.squares + product_sum(between, before, more.squares, fused),
                )
            }
            // The step of the mean is a factor of the squares, too, and is rounded for that.
            Combined::SquaresFirst => {
                let step = share * difference;
                let both = all.squares + more.squares;
                (
                    all.mean + step,
                    product_sum(difference * before, step, both, fused),
                )
            }
        };
        Running {
            count,
            mean,
            squares,
        }
    }
}

fn cascade(row: &[f32], lanes: usize, fused: bool, combined: Combined) -> Running {
    let groups = row.len() / lanes;
    // A run for each lane goes into the first step of a cascade; two on one step make one on the next.
    let lane = |lane: usize| {
        let runs = groups.div_ceil(CHUNK);
        let depth = match runs {
            0..=2 => 1,
            _ => (usize::BITS - (runs - 1).leading_zeros()) as usize,
        };
        let mut steps = vec![Running::default(); depth];
        for run in 0..runs {
            let places = run * CHUNK..groups.min((run + 1) * CHUNK);
            let values = places.map(|group| row[group * lanes + lane]);
            steps[0] = combined.of(steps[0], welford(values, fused), fused);
            let mut filled = run + 1;
            let mut step = 1;
            while step < depth && filled % 2 == 0 {
                steps[step] = combined.of(steps[step], steps[step - 1], fused);
                steps[step - 1] = Running::default();
                filled /= 2;
                step += 1;
            }
        }
        let more = steps[1..].iter();
        more.fold(steps[0], |all, &step| combined.of(all, step, fused))
    };
    let rest = welford_divided(&row[groups * lanes..], fused);
    (0..lanes).fold(rest, |all, at| Combined::ByRuns.of(all, lane(at), fused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_the_same_moments_but_for_rounding() {
        for width in [1, 5, 96, 100, 1100] {
            let row: Vec<f32> = (0..width).map(|i| (i * i % 37) as f32 / 8.0).collect();
            let (mean, variance) = Moments::Double.of(&row);
            for way in Moments::all(width) {
                let (m, v) = way.of(&row);
                assert!((m - mean).abs() < 1e-5, "{way:?} {width}: {m} {mean}");
                assert!(
                    (v - variance).abs() < 1e-4,
                    "{way:?} {width}: {v} {variance}"
                );
            }
        }
    }

    #[test]
    fn ways_have_different_words() {
        let mut words: Vec<String> = Moments::all(100).iter().map(|way| way.words()).collect();
        let count = words.len();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), count);
    }
}
