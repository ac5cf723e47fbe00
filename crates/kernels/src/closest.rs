//! The nearest centroid of each row, found without most of the products: what [`crate::nearest`] finds, the same bits.

use std::borrow::Cow;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::OnceLock;

use crate::compute::Compute;
use crate::int8::Int8Rows;
use crate::isa::on_isa;
use crate::linear::{PackedWeights, product};
use crate::machine::Machine;
use crate::nearest::{
    nearest_by_dot, nearest_by_l2, negated_distance, squared_norm, squared_norms,
};
use crate::screen::{Quantised, Screened, Screening};

/// Rows that go by the centroids together: few enough that what is read of them stays in the nearest caches.
const BLOCK: usize = 192;

/// By what a centroid is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The largest inner product: [`nearest_by_dot`].
    Dot,
    /// The least squared L2 distance: [`nearest_by_l2`].
    L2,
}

/// How much was computed to find the nearest centroids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub rows: u64,
    /// Centroids that the products of integers did not rule out, of all rows together.
    pub left: u64,
    /// Rows of which more than one centroid was left then, and the contract's arithmetic decided.
    pub decided: u64,
    /// Rows that got the contract's product with every centroid, among `decided`.
    pub in_full: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.rows += other.rows;
        self.left += other.left;
        self.decided += other.decided;
        self.in_full += other.in_full;
    }
}

impl Add for Work {
    type Output = Work;

    fn add(mut self, other: Work) -> Work {
        self += other;
        self
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Work>>(parts: I) -> Work {
        parts.fold(Work::default(), Add::add)
    }
}

/// Centroids that rows can be assigned to.
///
/// # How it is exact
/// Products of 8-bit integers, whose distance from the true product has a proven bound, rule out most centroids of a
/// row. Of the others the product is computed in `f32`, in an order that is fast; that rules out what is further than
/// the best by more than both orders' rounding. If one centroid is left, it is the one that the contract's arithmetic
/// finds; otherwise that decides between those that are left. The bounds are derived in `screen.rs`.
pub struct Centroids<'a> {
    values: Cow<'a, [f32]>,
    width: usize,
    measure: Measure,
    /// [`squared_norms`], by L2.
    norms: Vec<f32>,
    halves: Vec<f32>,
    quantised: Option<Quantised>,
    packed: OnceLock<PackedWeights>,
}

impl<'a> Centroids<'a> {
    /// The centroids `values` `(C, width)`.
    ///
    /// # Panics
    /// When there is none, or `values` is no whole number of rows.
    pub fn new(
        compute: &Compute,
        values: impl Into<Cow<'a, [f32]>>,
        width: usize,
        measure: Measure,
    ) -> Centroids<'a> {
        let values = values.into();
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "centroids are (C, width)"
        );
        assert!(!values.is_empty(), "there is at least one centroid");
        let (norms, halves) = match measure {
            Measure::Dot => (Vec::new(), vec![0.0; values.len() / width]),
            Measure::L2 => (
                squared_norms(compute, &values, width),
                halves(&values, width),
            ),
        };
        Centroids {
            quantised: Quantised::new(compute, &values, &halves, width),
            values,
            width,
            measure,
            norms,
            halves,
            packed: OnceLock::new(),
        }
    }

    /// For each row of `x` `(rows, width)` the nearest centroid, the first of those equally near, as
    /// [`nearest_by_dot`] or [`nearest_by_l2`] finds it. `guesses`, if there are any, name a centroid for each row that
    /// may be near; a good one saves time, and none changes the result.
    ///
    /// # Panics
    /// When `x` is no whole number of rows, or `guesses` are not as many, or name a centroid that there is not.
    pub fn nearest(
        &self,
        compute: &Compute,
        x: &[f32],
        guesses: Option<&[u32]>,
    ) -> (Vec<u32>, Work) {
        assert!(x.len().is_multiple_of(self.width), "x is (rows, width)");
        let rows = x.len() / self.width;
        assert!(
            guesses.is_none_or(|guesses| guesses.len() == rows),
            "a guess is of one row"
        );
        let mut work = Work {
            rows: rows as u64,
            ..Work::default()
        };
        let mut chosen = Vec::with_capacity(rows);
        let Some(quantised) = &self.quantised else {
            self.in_full(compute, x, &mut work, &mut chosen);
            return (chosen, work);
        };
        let screening = Screening {
            quantised,
            centroids: &self.values,
            halves: &self.halves,
            width: self.width,
            isa: compute.isa(),
        };
        for (block, x) in x.chunks(BLOCK * self.width).enumerate() {
            let guesses = guesses.map(|guesses| &guesses[block * BLOCK..]);
            self.block(compute, screening, x, guesses, &mut work, &mut chosen);
        }
        (chosen, work)
    }

    fn block(
        &self,
        compute: &Compute,
        screening: Screening<'_>,
        x: &[f32],
        guesses: Option<&[u32]>,
        work: &mut Work,
        chosen: &mut Vec<u32>,
    ) {
        let mut screened = Screened::new(screening, x, Int8Rows::quantise(compute, x, self.width));
        let rows = 0..x.len() / self.width;
        let able: Vec<u32> = rows
            .clone()
            .filter(|&row| screened.can_be_screened(row))
            .map(|row| row as u32)
            .collect();
        if let Some(guesses) = guesses {
            for &row in &able {
                screened.start_from(row as usize, guesses[row as usize] as usize);
            }
        }
        screened.run(&able);
        let mut left = Vec::new();
        for (row, x) in rows.zip(x.chunks_exact(self.width)) {
            work.left += u64::from(screened.bounds()[row].scores());
            left.clear();
            left.extend(screened.left(row));
            left.sort_unstable();
            left.dedup();
            match left[..] {
                [] => self.in_full(compute, x, work, chosen),
                [one] => chosen.push(one),
                _ => {
                    work.decided += 1;
                    chosen.push(self.decide(compute, x, &left));
                }
            }
        }
    }

    /// The nearest of the centroids `among`, which ascend, by the contract's arithmetic.
    fn decide(&self, compute: &Compute, x: &[f32], among: &[u32]) -> u32 {
        let (centroids, isa) = (self, compute.isa());
        on_isa!(isa, decide_body(centroids: &Centroids<'_>, x: &[f32], among: &[u32]) -> u32)
    }

    /// The nearest of all centroids to each row, by the contract's arithmetic.
    fn in_full(&self, compute: &Compute, x: &[f32], work: &mut Work, chosen: &mut Vec<u32>) {
        let packed = self.packed.get_or_init(|| {
            PackedWeights::pack(&self.values, self.values.len() / self.width, self.width)
        });
        let before = chosen.len();
        match self.measure {
            Measure::Dot => chosen.extend(nearest_by_dot(compute, x, packed)),
            Measure::L2 => {
                let nearest = nearest_by_l2(compute, x, packed, &self.norms);
                chosen.extend(nearest.into_iter().map(|(centroid, _)| centroid));
            }
        }
        work.decided += (chosen.len() - before) as u64;
        work.in_full += (chosen.len() - before) as u64;
    }
}

/// Half the squared norm of every centroid, rounded once.
fn halves(centroids: &[f32], width: usize) -> Vec<f32> {
    let squares = |centroid: &[f32]| {
        centroid
            .iter()
            .map(|&c| f64::from(c) * f64::from(c))
            .sum::<f64>()
    };
    centroids
        .chunks_exact(width)
        .map(|centroid| (0.5 * squares(centroid)) as f32)
        .collect()
}

#[inline(always)]
fn decide_body<M: Machine>(machine: M, centroids: &Centroids<'_>, x: &[f32], among: &[u32]) -> u32 {
    let width = centroids.width;
    let own = squared_norm(machine, x);
    let (mut best, mut nearest) = (f32::NEG_INFINITY, among[0]);
    for &centroid in among {
        let c = &centroids.values[centroid as usize * width..][..width];
        let product = product(machine, x, c);
        let score = match centroids.measure {
            Measure::Dot => product,
            Measure::L2 => negated_distance(product, own, centroids.norms[centroid as usize]),
        };
        if score > best {
            (best, nearest) = (score, centroid);
        }
    }
    nearest
}
