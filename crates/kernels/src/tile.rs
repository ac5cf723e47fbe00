//! Register tiles: sums of several rows and several panels of outputs, computed side by side.
//!
//! A tile decides which sums are computed at the same time, never how a sum is computed: each is one chain,
//! its terms in ascending order. So tiles may be as wide as the registers of a machine allow.

/// How the terms of a chain are made and added, in one precision and on one machine.
pub(crate) trait MultiplyAdd {
    /// What is read of a row at a time: one value, or a few of a narrow type.
    type Input: Copy;
    /// The weights that it meets: those of sixteen outputs.
    type Weights: Copy;
    /// The sums of sixteen outputs.
    type Sum: Copy;
    /// Panels that a tile covers where there are enough.
    const PANELS: usize;

    /// The sums with the next term added to each.
    fn step(sum: Self::Sum, input: Self::Input, weights: &Self::Weights) -> Self::Sum;
}

/// Writes to `out` the chains of `ROWS` rows of inputs with `PANELS` panels of weights, all of one length, each
/// from `start`.
#[inline(always)]
pub(crate) fn chains<A: MultiplyAdd, const ROWS: usize, const PANELS: usize>(
    start: [A::Sum; PANELS],
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
    let mut sums = [start; ROWS];
    for term in 0..terms {
        for r in 0..ROWS {
            let input = inputs[r][term];
            for p in 0..PANELS {
                sums[r][p] = A::step(sums[r][p], input, &weights[p][term]);
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

/// Something that is computed tile by tile.
pub(crate) trait Tiled {
    /// How its sums are made.
    type MultiplyAdd: MultiplyAdd;

    /// Computes the rows from `row` on and the panels from `panel` on.
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize);
}

/// Computes all `rows` and `panels`. The inputs of a tile's rows stay in the nearest cache while the panels
/// go by; the weights come from wherever they are, at a rate that every cache sustains.
#[inline(always)]
pub(crate) fn cover<T: Tiled>(tiled: &mut T, rows: usize, panels: usize) {
    let mut row = 0;
    while rows - row >= 6 {
        strip::<T, 6>(tiled, row, panels);
        row += 6;
    }
    while rows - row >= 2 {
        strip::<T, 2>(tiled, row, panels);
        row += 2;
    }
    if row < rows {
        strip::<T, 1>(tiled, row, panels);
    }
}

#[inline(always)]
fn strip<T: Tiled, const ROWS: usize>(tiled: &mut T, row: usize, panels: usize) {
    let mut panel = 0;
    if T::MultiplyAdd::PANELS == 2 {
        while panels - panel >= 2 {
            tiled.tile::<ROWS, 2>(row, panel);
            panel += 2;
        }
    }
    while panel < panels {
        tiled.tile::<ROWS, 1>(row, panel);
        panel += 1;
    }
}
