//! Register tiles: sums of several rows and several panels of outputs, computed side by side.
//!
//! A tile decides which sums are computed at the same time, never how a sum is computed: each is one chain,
//! its terms in ascending order. So tiles may be as wide as the registers of a machine allow.

use crate::reduction::LANES;

/// How the terms of a chain are made and added, in one precision and on one machine.
pub(crate) trait MultiplyAdd: Copy {
    /// What is read of a row at a time: one value, or a few of a narrow type.
    type Input: Copy;
    /// The weights that it meets: those of sixteen outputs.
    type Weights: Copy;
    /// The sums of sixteen outputs.
    type Sum: Copy;
    /// Panels that a tile covers where there are enough: 1, 2 or 4.
    const PANELS: usize;

    /// The sums with the next term added to each.
    fn step(self, sum: Self::Sum, input: Self::Input, weights: &Self::Weights) -> Self::Sum;
}

/// Writes to `out` the chains of `ROWS` rows of inputs with `PANELS` panels of weights, all of one length, each
/// from `start`.
#[inline(always)]
pub(crate) fn chains<A: MultiplyAdd, const ROWS: usize, const PANELS: usize>(
    multiply_add: A,
    start: [A::Sum; PANELS],
    inputs: [&[A::Input]; ROWS],
    weights: [&[A::Weights]; PANELS],
    out: &mut [[A::Sum; PANELS]; ROWS],
) {
    let mut sums = [start; ROWS];
    continued(multiply_add, inputs, weights, &mut sums);
    *out = sums;
}

/// The same from sums of their own, which it continues.
#[inline(always)]
pub(crate) fn continued<A: MultiplyAdd, const ROWS: usize, const PANELS: usize>(
    multiply_add: A,
    mut inputs: [&[A::Input]; ROWS],
    mut weights: [&[A::Weights]; PANELS],
    out: &mut [[A::Sum; PANELS]; ROWS],
) {
    // One length for all, so that it is checked once and not at every term.
    let terms = weights[0].len();
    for r in 0..ROWS {
        inputs[r] = &inputs[r][..terms];
    }
    for p in 0..PANELS {
        weights[p] = &weights[p][..terms];
    }
    let mut sums = *out;
    for term in 0..terms {
        for r in 0..ROWS {
            // SAFETY: every slice has been cut to `terms`. Where the compiler checks it at every term, the
            // registers that hold the lengths are missing for what is computed.
            let input = unsafe { *inputs[r].get_unchecked(term) };
            for p in 0..PANELS {
                // SAFETY: as above.
                let weights = unsafe { weights[p].get_unchecked(term) };
                sums[r][p] = multiply_add.step(sums[r][p], input, weights);
            }
        }
    }
    *out = sums;
}

/// The stretches `from..from + length` of `ROWS` rows that lie `stride` apart.
#[inline(always)]
pub(crate) fn stretches<T, const ROWS: usize>(
    rows: &[T],
    stride: usize,
    from: usize,
    length: usize,
) -> [&[T]; ROWS] {
    let mut out = [&rows[..0]; ROWS];
    for r in 0..ROWS {
        out[r] = &rows[r * stride + from..][..length];
    }
    out
}

/// Has the places fetched where the results of a tile will be written, of `ROWS` rows `stride` apart and
/// `PANELS` panels from `first` on: a store to memory that is in no cache waits until it is, and while the tile
/// is computed there is time for that.
#[inline(always)]
pub(crate) fn fetch_places<const ROWS: usize, const PANELS: usize>(
    y: &[f32],
    stride: usize,
    first: usize,
) {
    for r in 0..ROWS {
        for p in 0..PANELS {
            fetch(y.as_ptr().wrapping_add(first + r * stride + p * LANES));
        }
    }
}

/// Has a place in memory fetched, if there is one.
#[inline(always)]
pub(crate) fn fetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of every x86-64, and a hint that may be given for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Something that is computed tile by tile.
pub(crate) trait Tiled {
    /// How its sums are made.
    type MultiplyAdd: MultiplyAdd;

    /// Computes the rows from `row` on and the panels from `panel` on.
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize);
}

/// Rows that go by the panels together: few enough that what is read of them stays in a core's second cache.
const ROWS_AT_ONCE: usize = 96;

/// Computes all `rows` and `panels`. The panels of a tile, of which every term is sixteen times as large as that
/// of a row, stay in the nearest caches while some rows go by, and those rows while all panels do.
#[inline(always)]
pub(crate) fn cover<T: Tiled>(tiled: &mut T, rows: usize, panels: usize) {
    let mut first = 0;
    while first < rows {
        let last = rows.min(first + ROWS_AT_ONCE);
        let mut panel = 0;
        if T::MultiplyAdd::PANELS >= 4 {
            while panels - panel >= 4 {
                column::<T, 4>(tiled, first, last, panel);
                panel += 4;
            }
        }
        if T::MultiplyAdd::PANELS >= 2 {
            while panels - panel >= 2 {
                column::<T, 2>(tiled, first, last, panel);
                panel += 2;
            }
        }
        while panel < panels {
            column::<T, 1>(tiled, first, last, panel);
            panel += 1;
        }
        first = last;
    }
}

/// The rows `row..end` with the panels from `panel` on.
#[inline(always)]
fn column<T: Tiled, const PANELS: usize>(tiled: &mut T, mut row: usize, end: usize, panel: usize) {
    while end - row >= 6 {
        tiled.tile::<6, PANELS>(row, panel);
        row += 6;
    }
    while end - row >= 2 {
        tiled.tile::<2, PANELS>(row, panel);
        row += 2;
    }
    if row < end {
        tiled.tile::<1, PANELS>(row, panel);
    }
}
