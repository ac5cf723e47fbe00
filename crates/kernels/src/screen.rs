//! Ruling centroids out: products of 8-bit integers, with a bound on how far they are from the truth.
//!
//! A *score* is what the nearest centroid has the largest of: `⟨x, c⟩ − h(c)`, where `h` is zero, or half the squared
//! norm of the centroid, by which the largest score is the least distance. Rows and centroids are replaced by
//! multiples of small integers, `x = x̃ + e` and `c = c̃ + f`. By Cauchy and Schwarz
//!
//! `|⟨x, c⟩ − ⟨x̃, c̃⟩| = |⟨x, f⟩ + ⟨e, c̃⟩| ≤ ‖x‖·‖f‖ + ‖e‖·‖c̃‖`,
//!
//! so a centroid whose score from the integers lies that far below a score that some centroid is known to have is not
//! the nearest. What is not ruled out gets its score in `f32`.
//!
//! Everything that rounds is in the [slack](Bounds::slack): so much may each score lie beside the true one, whether it
//! comes from the integers, from a sum in any order or from the contract's order. With `u = 2^-24`, `d` terms,
//! `X = ‖x‖` and `N` the longest centroid:
//! * a sum of `d` products by fused multiply-adds, in whatever order, errs by `d·u·X·N`, and by `2^-149` for each term
//!   that is below the range of `f32`; subtracting `h`, itself rounded, by less than `2u·(X + N)²`;
//! * the contract's distance is `(‖x‖² + ‖c‖²) − 2⟨x, c⟩`, twice as large as the difference of scores. The norms err by
//!   `(d/16 + 6)·u` of themselves, the product by `(d + 2 + d/192)·u·X·N`, the two operations between them by
//!   `2u·(X + N)²`: half of it all is less than `(0.3·d + 8)·u·(X + N)²`, as `X·N ≤ (X + N)²/4`;
//! * the score from the integers has an exact sum and three roundings: less than `8u·(X + N)²`, and `2^-120` where the
//!   product of the steps is below the range of `f32`.
//!
//! The slack is above each of them. Where the contract sets a negative distance to zero nothing changes: what is
//! further than the nearest by more than the slack is not negative.

use rayon::prelude::*;

use crate::compute::Compute;
use crate::int8::{self, Int8, Int8Rows, Quads, Sums};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, with_proof};
use crate::isa::{Isa, on_isa};
use crate::lanes::Lanes;
use crate::machine::Machine;
use crate::reduction::{LANES, lane_reduce};
use crate::tile::{chains, stretches};

/// The longest rows and centroids that are screened: of longer ones the squares might overflow.
pub(crate) const LONGEST: f64 = (1u64 << 50) as f64;

/// The widest rows whose integer sums are exact in `f32`: `1024 · 127² < 2^24`.
pub(crate) const WIDEST: usize = 1024;

/// Centroids as integers, and how far these are from them.
pub(crate) struct Quantised {
    /// By fours of inputs, sixteen centroids side by side.
    quads: Vec<Quads>,
    panels: Vec<Panel>,
    /// The largest `‖c‖`.
    longest: f32,
}

/// What is known of sixteen centroids. Where there are fewer, the score of the others is minus infinity.
#[derive(Clone, Copy)]
struct Panel {
    /// What one step of the integers of each is worth.
    steps: Lanes,
    /// −128 times the sum of each one's integers.
    corrections: Sums,
    /// Of each, `−h`.
    offsets: Lanes,
    /// The largest `‖f‖`, and the largest `‖c̃‖`.
    error: f32,
    length: f32,
    /// The largest `‖c‖`; infinite where one is no number.
    longest: f32,
}

impl Quantised {
    /// `centroids` `(C, width)` and their `h`, quantised as [`Int8Rows::quantise`] does rows. `None` where some are too
    /// long or too wide to be screened, or not numbers.
    pub(crate) fn new(
        compute: &Compute,
        centroids: &[f32],
        halves: &[f32],
        width: usize,
    ) -> Option<Quantised> {
        if width > WIDEST {
            return None;
        }
        let quads = width.div_ceil(4);
        let mut all = vec![Quads([0; 4 * LANES]); halves.len().div_ceil(LANES) * quads];
        let centroids = centroids.par_chunks(LANES * width);
        let halves = halves.par_chunks(LANES);
        let panels: Vec<Panel> = (all.par_chunks_mut(quads).zip(centroids).zip(halves))
            .map(|((quads, centroids), halves)| {
                let rows = Int8Rows::quantise(compute, centroids, width);
                Panel::new(quads, centroids, halves, &rows)
            })
            .collect();
        let mut longest = 0.0;
        for panel in &panels {
            longest = panel.longest.max(longest);
        }
        (f64::from(longest) < LONGEST).then_some(Quantised {
            quads: all,
            panels,
            longest,
        })
    }
}

impl Panel {
    /// Up to sixteen `centroids` that became `rows`, which are written to `quads`.
    fn new(quads: &mut [Quads], centroids: &[f32], halves: &[f32], rows: &Int8Rows) -> Panel {
        let mut panel = Panel {
            steps: Lanes::ZERO,
            corrections: Sums([0; LANES]),
            offsets: Lanes([f32::NEG_INFINITY; LANES]),
            error: 0.0,
            length: 0.0,
            longest: 0.0,
        };
        let width = centroids.len() / halves.len();
        let levels = rows.levels.chunks_exact(quads.len());
        let each = centroids.chunks_exact(width).zip(levels).zip(halves);
        for (lane, ((centroid, levels), &half)) in each.enumerate() {
            let step = f64::from(rows.steps[lane]);
            let (mut norm, mut error, mut length) = (0.0, 0.0, 0.0);
            for (at, (&value, &level)) in centroid.iter().zip(levels.as_flattened()).enumerate() {
                let level = i32::from(level) - 128;
                quads[at / 4].0[4 * lane + at % 4] = level as i8;
                panel.corrections.0[lane] -= 128 * level;
                let (value, stands_for) = (f64::from(value), step * f64::from(level));
                norm += value * value;
                error += (value - stands_for) * (value - stands_for);
                length += stands_for * stands_for;
            }
            panel.steps.0[lane] = rows.steps[lane];
            panel.offsets.0[lane] = -half;
            raise(&mut panel.error, error);
            raise(&mut panel.length, length);
            raise(
                &mut panel.longest,
                if norm.is_nan() { f64::INFINITY } else { norm },
            );
        }
        panel
    }
}

/// Raises `most` to the root of `square`, rounded up.
#[inline(always)]
fn raise(most: &mut f32, square: f64) {
    let root = above(square.sqrt());
    *most = if root > *most { root } else { *most };
}

/// An `f32` that is not below `value`, which is not negative and may itself have been rounded a few thousand times.
#[inline(always)]
fn above(value: f64) -> f32 {
    (value * (1.0 + 1e-6)) as f32 + f32::MIN_POSITIVE
}

/// What is known of a row while its centroids go by.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// `‖x‖`, and `‖e‖`, both rounded up.
    length: f32,
    error: f32,
    /// What one step of its integers is worth.
    step: f32,
    /// How far any score may lie beside the true one.
    slack: f32,
    /// The largest score so far.
    best: f32,
    /// The last of its entries in `Screened::close`.
    close: u32,
    /// Scores that were computed.
    scores: u32,
}

impl Bounds {
    /// What a score has to be above for its centroid to be perhaps the nearest.
    #[inline(always)]
    pub(crate) fn least(&self) -> f32 {
        self.best - 4.0 * self.slack
    }

    /// How many scores were computed.
    pub(crate) fn scores(&self) -> u32 {
        self.scores
    }
}

/// No entry.
const NONE: u32 = u32::MAX;

/// A centroid that was the best of its row, or close to that, when it was met.
#[derive(Clone, Copy)]
struct Close {
    centroid: u32,
    score: f32,
    /// The entry of the same row before this one.
    before: u32,
}

/// What is screened.
#[derive(Clone, Copy)]
pub(crate) struct Screening<'a> {
    pub(crate) quantised: &'a Quantised,
    /// The centroids `(C, width)`, and their `h`.
    pub(crate) centroids: &'a [f32],
    pub(crate) halves: &'a [f32],
    pub(crate) width: usize,
    pub(crate) isa: Isa,
}

/// Rows that are screened, and what was found.
pub(crate) struct Screened<'a> {
    screening: Screening<'a>,
    x: &'a [f32],
    quantised: Int8Rows,
    bounds: Vec<Bounds>,
    close: Vec<Close>,
    /// How many scores of a row are computed one by one.
    most: u32,
}

/// One score in this many is computed by itself; where more are left, all of them cost less together.
const MANY: usize = 4;

impl<'a> Screened<'a> {
    /// The rows `x`, quantised as `quantised`; none of their centroids has been looked at.
    pub(crate) fn new(screening: Screening<'a>, x: &'a [f32], quantised: Int8Rows) -> Screened<'a> {
        let mut screened = Screened {
            screening,
            x,
            bounds: Vec::with_capacity(quantised.steps.len()),
            quantised,
            close: Vec::new(),
            most: (screening.halves.len() / MANY).max(2 * LANES) as u32,
        };
        let out = &mut screened;
        on_isa!(screening.isa, measure(out: &mut Screened<'_>));
        screened
    }

    /// What is known of each row.
    pub(crate) fn bounds(&self) -> &[Bounds] {
        &self.bounds
    }

    /// Whether a row can be screened: it is one of numbers, and not too long.
    pub(crate) fn can_be_screened(&self, row: usize) -> bool {
        f64::from(self.bounds[row].length) < LONGEST
    }

    /// Looks at one centroid of a row, which is met once more when all are.
    pub(crate) fn start_from(&mut self, row: usize, centroid: usize) {
        let (isa, found) = (self.screening.isa, self);
        let score =
            on_isa!(isa, score_of(found: &mut Screened<'_>, row: usize, centroid: usize) -> f32);
        found.bounds[row].best = score;
    }

    /// Looks at all centroids of the rows that `rows` numbers, but for those that are ruled out.
    pub(crate) fn run(&mut self, rows: &[u32]) {
        let screened = self;
        match int8::chosen(screened.screening.isa) {
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::Avx512Vnni(proof) => {
                with_proof!(Avx512Vnni(proof), all_panels(screened: &mut Screened<'_>, rows: &[u32]));
            }
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::AvxVnni(proof) => {
                with_proof!(AvxVnni(proof), all_panels(screened: &mut Screened<'_>, rows: &[u32]));
            }
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::Avx2(proof) => {
                with_proof!(Avx2(proof), all_panels_in_pairs(screened: &mut Screened<'_>, rows: &[u32]));
            }
            int8::Instructions::Plain(isa) => {
                on_isa!(isa, all_panels_plainly(screened: &mut Screened<'_>, rows: &[u32]));
            }
        }
    }

    /// The centroids of a row that may be the nearest, in no order: all of them, once [`Screened::run`] is done. None
    /// where so many were left that they cost less together.
    pub(crate) fn left(&self, row: usize) -> impl Iterator<Item = u32> + '_ {
        let bounds = &self.bounds[row];
        let (least, mut at) = (bounds.least(), bounds.close);
        let entries = std::iter::from_fn(move || {
            let entry = self.close.get(at as usize)?;
            at = entry.before;
            Some(entry)
        });
        entries
            .filter(move |entry| entry.score > least)
            .map(|entry| entry.centroid)
    }
}

#[inline(always)]
fn measure<M: Machine>(_: M, screened: &mut Screened<'_>) {
    let (width, quads) = (
        screened.screening.width,
        screened.screening.width.div_ceil(4),
    );
    let longest = f64::from(screened.screening.quantised.longest);
    let rounding = (0.4 * width as f64 + 16.0) * f64::from(f32::EPSILON / 2.0);
    let rows = screened.x.chunks_exact(width);
    let levels = screened.quantised.levels.chunks_exact(quads);
    for ((x, levels), &step) in rows.zip(levels).zip(&screened.quantised.steps) {
        let (mut norms, mut errors) = ([0.0f64; LANES], [0.0f64; LANES]);
        let levels = levels.as_flattened();
        for (x, levels) in x.chunks(LANES).zip(levels.chunks(LANES)) {
            for (l, (&value, &level)) in x.iter().zip(levels).enumerate() {
                let value = f64::from(value);
                let error = value - f64::from(step) * f64::from(i32::from(level) - 128);
                norms[l] += value * value;
                errors[l] += error * error;
            }
        }
        let (mut norm, mut error) = (0.0, 0.0);
        for l in 0..LANES {
            norm += norms[l];
            error += errors[l];
        }
        let length = above(norm.sqrt());
        let reach = f64::from(length) + longest;
        screened.bounds.push(Bounds {
            length,
            error: above(error.sqrt()),
            step,
            slack: above(rounding * reach * reach + width as f64 * 2f64.powi(-120)),
            best: f32::NEG_INFINITY,
            close: NONE,
            scores: 0,
        });
    }
}

/// The score of a centroid in `f32`: sums of sixteen lanes, in the order of [`lane_reduce`].
#[inline(always)]
fn score_of<M: Machine>(
    machine: M,
    screened: &mut Screened<'_>,
    row: usize,
    centroid: usize,
) -> f32 {
    let Screening {
        centroids,
        halves,
        width,
        ..
    } = screened.screening;
    let x = &screened.x[row * width..][..width];
    let c = &centroids[centroid * width..][..width];
    let mut sums = [Lanes::ZERO; 4];
    let ((x, x_rest), (c, c_rest)) = (x.as_chunks::<LANES>(), c.as_chunks::<LANES>());
    for (x, c) in x.chunks(4).zip(c.chunks(4)) {
        for (sum, (x, c)) in sums.iter_mut().zip(x.iter().zip(c)) {
            for l in 0..LANES {
                sum.0[l] = machine.fma(x[l], c[l], sum.0[l]);
            }
        }
    }
    for (l, (&x, &c)) in x_rest.iter().zip(c_rest).enumerate() {
        sums[0].0[l] = machine.fma(x, c, sums[0].0[l]);
    }
    let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    screened.bounds[row].scores += 1;
    lane_reduce(&sum.0, |sum, value| sum + value) - halves[centroid]
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn all_panels_in_pairs(machine: Avx2, screened: &mut Screened<'_>, rows: &[u32]) {
    all_panels(int8::x86::Pairs(machine), screened, rows);
}

#[inline(always)]
fn all_panels_plainly<M: Machine>(machine: M, screened: &mut Screened<'_>, rows: &[u32]) {
    all_panels(int8::Plain(machine), screened, rows);
}

#[inline(always)]
fn all_panels<A: Int8>(multiply_add: A, screened: &mut Screened<'_>, rows: &[u32]) {
    let panels = screened.screening.quantised.panels.len();
    let mut panel = 0;
    if A::PANELS >= 4 {
        while panels - panel >= 4 {
            column::<A, 4>(multiply_add, screened, rows, panel);
            panel += 4;
        }
    }
    while panel < panels {
        column::<A, 1>(multiply_add, screened, rows, panel);
        panel += 1;
    }
}

#[inline(always)]
fn column<A: Int8, const PANELS: usize>(
    multiply_add: A,
    screened: &mut Screened<'_>,
    rows: &[u32],
    panel: usize,
) {
    let (sixes, rest) = rows.as_chunks::<6>();
    for rows in sixes {
        tile::<A, 6, PANELS>(multiply_add, screened, rows, panel);
    }
    for row in rest {
        tile::<A, 1, PANELS>(multiply_add, screened, &[*row], panel);
    }
}

#[inline(always)]
fn tile<A: Int8, const ROWS: usize, const PANELS: usize>(
    multiply_add: A,
    screened: &mut Screened<'_>,
    rows: &[u32; ROWS],
    panel: usize,
) {
    let Screening {
        quantised,
        width,
        isa,
        ..
    } = screened.screening;
    let (quads, machine) = (width.div_ceil(4), multiply_add.machine());
    let mut levels = [&screened.quantised.levels[..0]; ROWS];
    for r in 0..ROWS {
        levels[r] = &screened.quantised.levels[rows[r] as usize * quads..][..quads];
    }
    let mut start = [Sums([0; LANES]); PANELS];
    if A::OFFSET {
        for p in 0..PANELS {
            start[p] = quantised.panels[panel + p].corrections;
        }
    }
    let mut sums = [[Sums([0; LANES]); PANELS]; ROWS];
    chains::<_, ROWS, PANELS>(
        multiply_add,
        start,
        levels,
        stretches(&quantised.quads[panel * quads..], quads, 0, quads),
        &mut sums,
    );
    let panels = &quantised.panels[panel..panel + PANELS];
    let (mut error, mut length) = (0.0f32, 0.0f32);
    for panel in panels {
        error = error.max(panel.error);
        length = length.max(panel.length);
    }
    for r in 0..ROWS {
        let bounds = screened.bounds[rows[r] as usize];
        let beside = bounds.length * error + bounds.error * length;
        let mut scores = [Lanes::ZERO; PANELS];
        let mut most = Lanes([f32::NEG_INFINITY; LANES]);
        for p in 0..PANELS {
            let Panel { steps, offsets, .. } = &panels[p];
            for l in 0..LANES {
                let worth = bounds.step * steps.0[l];
                let score = machine.fma(sums[r][p].0[l] as f32, worth, offsets.0[l]);
                scores[p].0[l] = score;
                most.0[l] = if score > most.0[l] { score } else { most.0[l] };
            }
        }
        if machine.larger(&most, bounds.least() - beside) != 0 {
            let (row, scores) = (rows[r] as usize, &scores[..]);
            on_isa!(isa, look_closer(screened: &mut Screened<'_>, row: usize, panel: usize, scores: &[Lanes], beside: f32));
        }
    }
}

/// Computes in `f32` the scores of a row that those of some panels, from integers, do not rule out.
#[inline(always)]
fn look_closer<M: Machine>(
    machine: M,
    screened: &mut Screened<'_>,
    row: usize,
    panel: usize,
    scores: &[Lanes],
    beside: f32,
) {
    // The largest first: it may rule out the others.
    let (mut largest, mut at) = (f32::NEG_INFINITY, 0);
    for (lane, &score) in scores.iter().flat_map(|lanes| &lanes.0).enumerate() {
        if score > largest {
            (largest, at) = (score, lane);
        }
    }
    enter(machine, screened, row, panel * LANES + at);
    for (p, lanes) in scores.iter().enumerate() {
        let mut larger = machine.larger(lanes, screened.bounds[row].least() - beside);
        while larger != 0 {
            let lane = larger.trailing_zeros() as usize;
            larger &= larger - 1;
            if p * LANES + lane != at {
                enter(machine, screened, row, (panel + p) * LANES + lane);
            }
        }
    }
}

/// Computes the score of a centroid, and keeps it if it may be the nearest.
#[inline(always)]
fn enter<M: Machine>(machine: M, screened: &mut Screened<'_>, row: usize, centroid: usize) {
    let score = score_of(machine, screened, row, centroid);
    let bounds = &mut screened.bounds[row];
    if bounds.scores > screened.most {
        // Nothing is above that, and nothing is left.
        (bounds.best, bounds.close) = (f32::INFINITY, NONE);
    } else if score > bounds.least() {
        bounds.best = if score > bounds.best {
            score
        } else {
            bounds.best
        };
        let before = bounds.close;
        bounds.close = screened.close.len() as u32;
        screened.close.push(Close {
            centroid: centroid as u32,
            score,
            before,
        });
    }
}
