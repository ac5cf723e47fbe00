//! Operations that add in a given order.

use std::convert::Infallible;

use concord_lab::reveal::{
    Masks, Order, Pairing, Probe, RecoverOptions, Recovery, SumTree, Summation, recover,
};
use concord_tensor::{DType, Tensor};

/// Adds in `f32` by trees that it was given.
pub struct Simulated {
    pub trees: Vec<SumTree>,
    /// Which tree is taken at a place and slot, in the launch of this number.
    pub choose: Box<dyn Fn(usize, usize, usize) -> usize>,
    pub slots: usize,
    pub places: usize,
    pub masks: Masks,
    pub output: DType,
    pub takes_zeros: bool,
    pub launches: usize,
}

impl Simulated {
    pub fn new(tree: SumTree) -> Simulated {
        Simulated {
            trees: vec![tree],
            choose: Box::new(|_, _, _| 0),
            slots: 64,
            places: 1,
            masks: Masks::new(DType::F32, DType::F32, DType::F32).unwrap(),
            output: DType::F32,
            takes_zeros: true,
            launches: 0,
        }
    }
}

impl Summation for Simulated {
    type Error = Infallible;

    fn terms(&self) -> usize {
        self.trees[0].terms()
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn places(&self) -> usize {
        self.places
    }

    fn masks(&self) -> Masks {
        self.masks
    }

    fn takes_zeros(&self) -> bool {
        self.takes_zeros
    }

    fn launch(&mut self, probes: &[Option<Probe>]) -> Result<Vec<f64>, Infallible> {
        self.launches += 1;
        let mut results = Vec::new();
        for place in 0..self.places {
            for (slot, probe) in probes.iter().enumerate() {
                let tree = &self.trees[(self.choose)(place, slot, self.launches)];
                results.push(probe.as_ref().map_or(f32::NAN, |probe| {
                    let terms: Vec<f32> = (0..tree.terms())
                        .map(|term| probe.term(self.masks, term) as f32)
                        .collect();
                    add(tree, &terms)
                }));
            }
        }
        let rounded = Tensor::new([results.len()], results).unwrap();
        let rounded = rounded.cast(self.output).unwrap().cast(DType::F64).unwrap();
        Ok(rounded.as_slice::<f64>().unwrap().to_vec())
    }
}

/// The sum of some terms in the order of a tree.
pub fn add(tree: &SumTree, terms: &[f32]) -> f32 {
    let mut sums = terms.to_vec();
    for node in tree.terms()..tree.nodes() {
        let parts: Vec<f32> = tree.parts(node).iter().map(|&part| sums[part]).collect();
        sums.push(match parts[..] {
            [a, b] => a + b,
            _ => fused(&parts),
        });
    }
    sums[tree.root()]
}

/// The sum of several numbers as matrix units make it: all are shifted to the largest exponent, cut to 25
/// bits there, and added as integers.
fn fused(parts: &[f32]) -> f32 {
    let largest = parts.iter().fold(0.0f32, |most, part| most.max(part.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let exponent = f64::from(largest).log2().floor() as i32;
    let step = 2f64.powi(exponent - 24);
    let cut = parts.iter().map(|&part| (f64::from(part) / step).trunc());
    (cut.sum::<f64>() * step) as f32
}

/// A tree of up to `most` parts to an addition, made by joining random parts of what is left.
pub fn random_tree(terms: usize, most: usize, mut next: impl FnMut(usize) -> usize) -> SumTree {
    let mut left: Vec<usize> = (0..terms).collect();
    let mut additions: Vec<Vec<usize>> = Vec::new();
    while left.len() > 1 {
        let parts = 2 + next(most.min(left.len()) - 1);
        let taken = (0..parts)
            .map(|_| left.swap_remove(next(left.len())))
            .collect();
        additions.push(taken);
        left.push(terms + additions.len() - 1);
    }
    SumTree::new(terms, additions, left[0]).unwrap()
}

/// The tree of a cascade sum over vectors of `width` terms, as PyTorch's CPU kernel for sums of contiguous
/// `f32` makes it: four running sums per lane, each emptied into a next one every sixteen terms; the terms
/// that fill no vector first of all.
pub fn cascade_tree(terms: usize, width: usize) -> SumTree {
    const SUMS: usize = 4;
    const STEP: usize = 16;
    let mut additions: Vec<Vec<usize>> = Vec::new();
    let mut add = |a: Option<usize>, b: Option<usize>| match (a, b) {
        (Some(a), Some(b)) => {
            additions.push(vec![a, b]);
            Some(terms + additions.len() - 1)
        }
        (a, b) => a.or(b),
    };
    let vectors = terms / width;
    let rows = vectors / SUMS;
    let mut total = None;
    for term in vectors * width..terms {
        total = add(total, Some(term));
    }
    for lane in 0..width {
        let mut sums = [None; SUMS];
        for (at, sum) in sums.iter_mut().enumerate() {
            let term = |row: usize| Some((row * SUMS + at) * width + lane);
            let (mut low, mut high) = (None, None);
            for row in 0..rows {
                low = add(low, term(row));
                if (row + 1) % STEP == 0 {
                    high = add(high, low.take());
                }
            }
            *sum = add(low, high);
        }
        for vector in rows * SUMS..vectors {
            sums[0] = add(sums[0], Some(vector * width + lane));
        }
        let lane = sums.into_iter().fold(None, &mut add);
        total = add(total, lane);
    }
    SumTree::new(terms, additions, total.unwrap()).unwrap()
}

/// Whatever a function makes of its terms.
pub struct Function<F>(pub usize, pub F);

impl<F: FnMut(&[f32]) -> f32> Summation for Function<F> {
    type Error = Infallible;

    fn terms(&self) -> usize {
        self.0
    }

    fn slots(&self) -> usize {
        16
    }

    fn masks(&self) -> Masks {
        Masks::new(DType::F32, DType::F32, DType::F32).unwrap()
    }

    fn launch(&mut self, probes: &[Option<Probe>]) -> Result<Vec<f64>, Infallible> {
        let masks = self.masks();
        let mut row = vec![0.0; self.0];
        Ok(probes
            .iter()
            .map(|probe| {
                probe.as_ref().map_or(0.0, |probe| {
                    probe.write(masks, &mut row);
                    f64::from((self.1)(&row))
                })
            })
            .collect())
    }
}

/// A sequence of numbers, the same for the same seed.
pub fn sequence(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |end| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % end.max(1) as u64) as usize
    }
}

pub fn recovered(operation: &mut Simulated) -> Recovery {
    recover(operation, &RecoverOptions::default()).unwrap()
}

/// The only tree of an operation that adds by `tree`.
pub fn recovered_tree(tree: &SumTree) -> (SumTree, usize) {
    let recovery = recovered(&mut Simulated::new(tree.clone()));
    assert!(recovery.is_uniform());
    (recovery.orders[0].tree.clone(), recovery.statistics.pairs)
}

pub fn tree(order: &Order, terms: usize) -> SumTree {
    order.tree(terms).unwrap()
}

pub fn lanes_by_halves(width: usize) -> Order {
    Order::lanes(width, Order::Pairwise(Pairing::Far))
}
