//! The orders in which programs add a row.

use std::fmt;

/// An order of additions, and the precision that they are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SumOrder {
    /// One after the other, from zero.
    Sequential,
    /// Lanes side by side, which are then added.
    Lanes {
        /// How many; term `i` goes into lane `i mod width`.
        width: usize,
        /// How the lanes are added.
        joined: Joined,
        /// Where the terms go that do not fill all lanes.
        rest: Rest,
    },
    /// Halves, each added likewise, down to single terms.
    Pairwise,
    /// One after the other in `f64`, the result rounded to `f32`.
    Double,
}

/// How lanes are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// One after the other.
    InOrder,
    /// The upper half to the lower half, until one is left.
    Halves,
}

/// Where the last terms go that do not fill all lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    None,
    /// Into the first lanes.
    IntoLanes,
    /// Behind the sum of the lanes, one after the other.
    After,
}

impl SumOrder {
    /// The orders of a row of `terms`.
    pub(super) fn all(terms: usize) -> Vec<SumOrder> {
        let mut orders = vec![SumOrder::Sequential];
        for width in [4, 8, 16, 32] {
            let rests: &[Rest] = match terms % width {
                0 => &[Rest::None],
                _ => &[Rest::IntoLanes, Rest::After],
            };
            for joined in [Joined::Halves, Joined::InOrder] {
                let rests = rests.iter().copied();
                let rests = rests.filter(|&rest| !is_repeated(terms, width, joined, rest));
                orders.extend(rests.map(|rest| SumOrder::Lanes {
                    width,
                    joined,
                    rest,
                }));
            }
        }
        orders.extend([SumOrder::Pairwise, SumOrder::Double]);
        orders
    }

    /// The sum of `terms`.
    pub(super) fn sum(self, terms: &[f32]) -> f32 {
        self.fold(terms, |sum, x| sum + x, f64::from)
    }

    /// The sum of the squares of `terms`, each rounded before it is added, or not if `fused`. In `f64`,
    /// where squares are exact, that makes no difference.
    pub(super) fn sum_of_squares(self, terms: &[f32], fused: bool) -> f32 {
        let square = |x: f32| f64::from(x) * f64::from(x);
        if fused {
            self.fold(terms, |sum, x| x.mul_add(x, sum), square)
        } else {
            self.fold(terms, |sum, x| sum + x * x, square)
        }
    }

    /// Whether a square that is fused into a sum gives other bits than one that is rounded first. In halves
    /// of halves nothing is added to a single square.
    pub(super) fn can_fuse(self) -> bool {
        !matches!(self, SumOrder::Double | SumOrder::Pairwise)
    }

    fn fold(
        self,
        terms: &[f32],
        step: impl Fn(f32, f32) -> f32 + Copy,
        wide: impl Fn(f32) -> f64,
    ) -> f32 {
        match self {
            SumOrder::Sequential => terms.iter().copied().fold(0.0, step),
            SumOrder::Lanes {
                width,
                joined,
                rest,
            } => {
                let whole = match rest {
                    Rest::None | Rest::IntoLanes => terms.len(),
                    Rest::After => terms.len() / width * width,
                };
                let mut lanes = vec![0.0; width];
                for group in terms[..whole].chunks(width) {
                    for (lane, &term) in lanes.iter_mut().zip(group) {
                        *lane = step(*lane, term);
                    }
                }
                let sum = joined.sum(&mut lanes);
                terms[whole..].iter().copied().fold(sum, step)
            }
            SumOrder::Pairwise => pairwise(terms, step),
            SumOrder::Double => terms.iter().map(|&x| wide(x)).sum::<f64>() as f32,
        }
    }
}

/// Whether lanes that hold a term each, or none, only repeat another order: one after the other, or that in
/// fewer lanes.
fn is_repeated(terms: usize, width: usize, joined: Joined, rest: Rest) -> bool {
    match rest {
        Rest::None | Rest::After => {
            terms < width || (terms < 2 * width && joined == Joined::InOrder)
        }
        Rest::IntoLanes => match joined {
            Joined::InOrder => terms <= width,
            Joined::Halves => terms <= width / 2,
        },
    }
}

impl Joined {
    fn sum(self, lanes: &mut [f32]) -> f32 {
        match self {
            Joined::InOrder => lanes.iter().copied().reduce(|a, b| a + b).unwrap_or(0.0),
            Joined::Halves => {
                let mut half = lanes.len() / 2;
                while half > 0 {
                    for lane in 0..half {
                        lanes[lane] += lanes[lane + half];
                    }
                    half /= 2;
                }
                lanes.first().copied().unwrap_or(0.0)
            }
        }
    }
}

fn pairwise(terms: &[f32], step: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    match terms {
        [] => 0.0,
        [term] => step(0.0, *term),
        _ => {
            let (left, right) = terms.split_at(terms.len() / 2);
            pairwise(left, step) + pairwise(right, step)
        }
    }
}

/// In words: `in 16 lanes joined by halves`.
impl fmt::Display for SumOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SumOrder::Sequential => f.write_str("one after the other"),
            SumOrder::Pairwise => f.write_str("in halves of halves"),
            SumOrder::Double => f.write_str("in f64"),
            SumOrder::Lanes {
                width,
                joined,
                rest,
            } => {
                let joined = match joined {
                    Joined::InOrder => "added in order",
                    Joined::Halves => "added by halves",
                };
                let rest = match rest {
                    Rest::None => "",
                    Rest::IntoLanes => ", the last terms in the first lanes",
                    Rest::After => ", the last terms after them",
                };
                write!(f, "in {width} lanes {joined}{rest}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_kernels::reduction::lane_reduce;

    #[test]
    fn every_order_adds_every_term() {
        for terms in [1, 7, 16, 100] {
            let row: Vec<f32> = (1..=terms).map(|i| i as f32).collect();
            let squares: f32 = row.iter().map(|x| x * x).sum();
            for order in SumOrder::all(terms) {
                assert_eq!(order.sum(&row), (terms * (terms + 1) / 2) as f32, "{order}");
                for fused in [false, true] {
                    assert_eq!(order.sum_of_squares(&row, fused), squares, "{order}");
                }
            }
        }
    }

    #[test]
    fn sixteen_lanes_by_halves_are_the_order_of_the_kernels() {
        let row: Vec<f32> = (0..101).map(|i| 1.0 / (i + 1) as f32).collect();
        let order = SumOrder::Lanes {
            width: 16,
            joined: Joined::Halves,
            rest: Rest::IntoLanes,
        };
        let kernels = lane_reduce(&row, |sum, x| sum + x);
        assert_eq!(order.sum(&row).to_bits(), kernels.to_bits());
        assert!(SumOrder::all(101).contains(&order));
    }
}
