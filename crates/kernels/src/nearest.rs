//! The nearest centroid of each row: k-means' assignment and the codec's codes.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::linear::{PackedWeights, linear};
use crate::machine::Machine;
use crate::reduction::{LANES, lane_reduce};

/// Rows whose products are held at once.
const BLOCK: usize = 64;

/// For each row of `x` `(rows, width)`, the centroid with the largest inner product; of equal ones the
/// first. This is how the codec assigns codes. There must be at least one centroid.
///
/// # Order of operations
/// The products are those of [`linear`]. A NaN is never the largest.
pub fn nearest_by_dot(compute: &Compute, x: &[f32], centroids: &PackedWeights) -> Vec<u32> {
    for_each_row_of_products(compute, x, centroids, |_, products| {
        first_largest(compute, products).0
    })
}

/// The squared L2 norm of every row of `x` `(rows, width)`: [`lane_reduce`] with fused squares.
pub fn squared_norms(compute: &Compute, x: &[f32], width: usize) -> Vec<f32> {
    on_isa!(compute.isa(), squared_norms_body(x: &[f32], width: usize) -> Vec<f32>)
}

#[inline(always)]
fn squared_norms_body<M: Machine>(machine: M, x: &[f32], width: usize) -> Vec<f32> {
    x.chunks_exact(width.max(1))
        .map(|row| squared_norm(machine, row))
        .collect()
}

/// One of [`squared_norms`].
#[inline(always)]
pub(crate) fn squared_norm<M: Machine>(machine: M, row: &[f32]) -> f32 {
    lane_reduce(row, |sum, x| machine.fma(x, x, sum))
}

/// For each row of `x` `(rows, width)`, the centroid at the least squared L2 distance, of equal ones the
/// first, with that distance; `norms` are the centroids' [`squared_norms`]. There must be at least one
/// centroid.
///
/// # Order of operations
/// `distance = (‖x‖² + ‖c‖²) − 2·⟨x, c⟩`, not below zero, as faiss computes it for many queries; the
/// products are those of [`linear`], each operation rounds once.
pub fn nearest_by_l2(
    compute: &Compute,
    x: &[f32],
    centroids: &PackedWeights,
    norms: &[f32],
) -> Vec<(u32, f32)> {
    let own = squared_norms(compute, x, centroids.inputs());
    for_each_row_of_products(compute, x, centroids, |row, products| {
        let own = own[row];
        on_isa!(compute.isa(), negate_distances(products: &mut [f32], norms: &[f32], own: f32));
        let (centroid, negated) = first_largest(compute, products);
        (centroid, -negated)
    })
}

/// Turns products into negated distances, whose largest is the nearest. The negation is exact.
#[inline(always)]
fn negate_distances<M: Machine>(_: M, products: &mut [f32], norms: &[f32], own: f32) {
    for (product, &norm) in products.iter_mut().zip(norms) {
        *product = negated_distance(*product, own, norm);
    }
}

/// The negated distance of [`nearest_by_l2`] from a product and the squared norms of row and centroid.
#[inline(always)]
pub(crate) fn negated_distance(product: f32, own: f32, norm: f32) -> f32 {
    let distance = (own + norm) - 2.0 * product;
    -(if distance < 0.0 { 0.0 } else { distance })
}

fn for_each_row_of_products<T>(
    compute: &Compute,
    x: &[f32],
    centroids: &PackedWeights,
    mut choose: impl FnMut(usize, &mut [f32]) -> T,
) -> Vec<T> {
    let (width, count) = (centroids.inputs().max(1), centroids.outputs());
    assert!(count > 0, "there is at least one centroid");
    let mut chosen = Vec::with_capacity(x.len() / width);
    let mut products = vec![0.0; BLOCK * count];
    for block in x.chunks(BLOCK * width) {
        let products = &mut products[..block.len() / width * count];
        linear(compute, block, centroids, None, products);
        for products in products.chunks_exact_mut(count) {
            chosen.push(choose(chosen.len(), products));
        }
    }
    chosen
}

/// The first of the largest values and its position; position 0 where all are NaN.
fn first_largest(compute: &Compute, values: &[f32]) -> (u32, f32) {
    on_isa!(compute.isa(), first_largest_body(values: &[f32]) -> (u32, f32))
}

#[inline(always)]
fn first_largest_body<M: Machine>(_: M, values: &[f32]) -> (u32, f32) {
    // Each lane keeps the first of its own largest values; the lanes are then settled by value, and by
    // position where values are equal, which is the order a walk from the left would have found.
    let (mut best, mut at) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
    let (whole, rest) = values.as_chunks::<LANES>();
    for (block, values) in whole.iter().enumerate() {
        for l in 0..LANES {
            let larger = values[l] > best[l];
            best[l] = if larger { values[l] } else { best[l] };
            at[l] = if larger {
                (block * LANES + l) as u32
            } else {
                at[l]
            };
        }
    }
    for (l, &value) in rest.iter().enumerate() {
        if value > best[l] {
            best[l] = value;
            at[l] = (whole.len() * LANES + l) as u32;
        }
    }
    let mut winner = (at[0], best[0]);
    for l in 1..LANES {
        if best[l] > winner.1 || (best[l] == winner.1 && at[l] < winner.0) {
            winner = (at[l], best[l]);
        }
    }
    winner
}
