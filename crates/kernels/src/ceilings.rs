//! What the MaxSim scores of passages cannot exceed, from sums of 8-bit integers.
//!
//! An embedding is a centroid and the weights of a residual, divided by their norm. The weights are taken for whole
//! numbers of a unit, and so are a query's tokens, `q ≈ s k`; the product of a centroid with a token, which is known, is
//! rounded to units of both. Sums of whole numbers are exact in any order, so a ceiling has the same bits on every
//! instruction set.

use crate::approximate::row_of;
use crate::compute::Compute;
use crate::int8::{self, Int8, Int8Weights, Quads, Sums};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, with_proof};
use crate::isa::{Isa, on_isa};
use crate::lanes::Lanes;
pub use crate::levels::Levels;
use crate::levels::{TINY, unpack};
use crate::machine::Machine;
use crate::maxsim::Floor;
use crate::reduction::{LANES, lane_reduce};
use crate::tile::{continued, stretches};

/// Embeddings whose sums are computed together: few enough that all that is read stays in a core's nearest cache.
const BLOCK: usize = 48;

/// Rows of a register tile, of which a block is a whole number.
const ROWS: usize = 6;

/// Bytes that unpacking may write beyond the place of what it unpacks.
const BEYOND: usize = 64;

/// The most that is added to a sum, in units.
const MOST: f64 = (1 << 24) as f64;

/// The tokens of a query as whole numbers.
pub struct Ceilings<'a> {
    levels: &'a Levels,
    dim: usize,
    /// The dimensions in the order in which fields are unpacked.
    weights: Int8Weights,
    /// What a unit of the sums of each token is worth, zero for those that nothing is said of; and how many units one is.
    worth: Vec<Lanes>,
    per_unit: Vec<Lanes>,
    /// What the sums of each token begin with beside the product with the centroid.
    first: Vec<Sums>,
}

/// What is known of a token of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// Its norm, and the norm of what its whole numbers miss.
    pub length: f64,
    pub missed: f64,
}

impl<'a> Ceilings<'a> {
    /// Of a query `(tokens, dim)`. `slack` says of a token how far the product of an embedding with it may lie above what
    /// the whole numbers and the centroid's product say, before the division by the norm, roundings of whole numbers
    /// apart.
    ///
    /// # Panics
    /// When the dimensions are no multiple of eight.
    pub fn new(
        compute: &Compute,
        query: &[f32],
        dim: usize,
        levels: &'a Levels,
        slack: impl Fn(Token) -> f64,
    ) -> Ceilings<'a> {
        assert!(dim > 0 && dim.is_multiple_of(8), "whole bytes");
        let (tokens, per_byte) = (query.len() / dim, 8 / levels.nbits);
        let row = row_of(tokens);
        let mut ordered = vec![0.0; row * dim];
        for (token, ordered) in query.chunks_exact(dim).zip(ordered.chunks_exact_mut(dim)) {
            for (at, value) in ordered.iter_mut().enumerate() {
                let (plane, byte) = (at / (dim / per_byte), at % (dim / per_byte));
                *value = token[byte * per_byte + plane];
            }
        }
        let weights = Int8Weights::quantise(&ordered, row, dim);
        let groups = row / LANES;
        let mut ceilings = Ceilings {
            levels,
            dim,
            worth: vec![Lanes::ZERO; groups],
            per_unit: vec![Lanes::ZERO; groups],
            first: vec![Sums([0; LANES]); groups],
            weights,
        };
        for (at, token) in ordered.chunks_exact(dim).take(tokens).enumerate() {
            ceilings.set(at, token, &slack);
        }
        if offsets(compute.isa()) {
            for (first, correction) in ceilings.first.iter_mut().zip(&ceilings.weights.corrections)
            {
                for l in 0..LANES {
                    first.0[l] += correction.0[l];
                }
            }
        }
        ceilings
    }

    fn set(&mut self, at: usize, token: &[f32], slack: impl Fn(Token) -> f64) {
        let (group, lane, quads) = (at / LANES, at % LANES, self.dim / 4);
        let step = f64::from(self.weights.step(at));
        let (mut length, mut missed) = (0.0, 0.0);
        for (i, &value) in token.iter().enumerate() {
            let level = self.weights.panels[group * quads + i / 4].0[lane * 4 + i % 4];
            length += f64::from(value).powi(2);
            missed += (f64::from(value) - step * f64::from(level)).powi(2);
        }
        let worth = step * self.levels.unit;
        let slack = slack(Token {
            length: length.sqrt() * 1.000_001,
            missed: missed.sqrt() * 1.000_001,
        });
        // Rounding a centroid's product and the sums to units.
        let slack = slack / worth * 1.000_001 + 4.0;
        if step > TINY && worth > TINY && slack < MOST {
            self.worth[group].0[lane] = worth as f32;
            self.per_unit[group].0[lane] = (1.0 / worth) as f32;
            self.first[group].0[lane] = slack.ceil() as i32;
        }
    }

    /// Whether ceilings count a token; of one that they do not, nothing is added to them.
    pub fn counts(&self, token: usize) -> bool {
        self.worth[token / LANES].0[token % LANES] > 0.0
    }

    /// The query's groups of sixteen tokens: as many starts there are for each centroid.
    pub fn groups(&self) -> usize {
        self.worth.len()
    }

    /// What the sums of the embeddings of some centroids start from: `(centroids, groups)`, for the products
    /// `(centroids, row)` of the centroids with the tokens. A product may have 2^24 units.
    pub fn start(&self, compute: &Compute, scores: &[f32], starts: &mut [Start]) {
        assert_eq!(
            scores.len(),
            starts.len() * LANES,
            "starts are (centroids, groups)"
        );
        let ceilings = self;
        on_isa!(compute.isa(), start_body(ceilings: &Ceilings<'_>, scores: &[f32], starts: &mut [Start]));
    }
}

#[inline(always)]
fn start_body<M: Machine>(_: M, of: &Ceilings<'_>, scores: &[f32], starts: &mut [Start]) {
    let (scores, _) = scores.as_chunks::<LANES>();
    let groups = of.groups().max(1);
    let centroids = scores
        .chunks_exact(groups)
        .zip(starts.chunks_exact_mut(groups));
    for (scores, starts) in centroids {
        for ((scores, Start(start)), (first, per_unit)) in
            (scores.iter().zip(starts)).zip(of.first.iter().zip(&of.per_unit))
        {
            for l in 0..LANES {
                start.0[l] = (scores[l] * per_unit.0[l]) as i32 + first.0[l];
            }
        }
    }
}

/// What the sums of sixteen tokens start from.
#[derive(Clone, Copy)]
pub struct Start(Sums);

impl Default for Start {
    fn default() -> Start {
        Start(Sums([0; LANES]))
    }
}

/// A passage's embeddings.
#[derive(Clone, Copy)]
pub struct Embeddings<'a> {
    /// The centroid of each.
    pub codes: &'a [i32],
    /// `(embeddings, dim / 8 * nbits)`.
    pub residuals: &'a [u8],
    /// The reciprocal norm of each, zero for one that is zero.
    pub reciprocals: &'a [f32],
}

/// What is reused from call to call.
#[derive(Default)]
pub struct Scratch {
    /// `(rows, dim)`, the dimensions in the order of [`Ceilings::weights`], and room to write beyond.
    levels: Vec<u8>,
    /// The centroid and the reciprocal norm of each row.
    rows: Vec<(i32, f32)>,
    /// `(rows, groups)`.
    products: Vec<Lanes>,
    /// The largest of each token of a passage so far.
    best: Vec<Lanes>,
}

/// Hands out for each passage what the sum over the tokens that count of `max_t ⟨q, v_t⟩` cannot exceed, as far as
/// [`Ceilings::new`]'s slack allows for everything but whole numbers. A passage has embeddings.
///
/// # Order of operations
/// A product is `f32(n) · r`, rounded once each, of an exact sum `n` and the embedding's reciprocal norm `r`; the largest
/// is multiplied by what a unit is worth. Tokens are added sixteen apart, ascending, and these sums as
/// [`lane_reduce`] does.
///
/// # Panics
/// When a length does not match its shape, or a code has no starts.
pub fn ceilings<'a>(
    compute: &Compute,
    by: &Ceilings<'_>,
    starts: &[Start],
    floor: Floor,
    passages: impl Iterator<Item = Embeddings<'a>>,
    scratch: &mut Scratch,
    mut bounded: impl FnMut(f32),
) {
    let lowest = match floor {
        Floor::None => f32::NEG_INFINITY,
        Floor::Zero => 0.0,
    };
    let (groups, bytes) = (by.groups(), by.dim / 8 * by.levels.nbits);
    scratch.levels.resize(BLOCK * by.dim + BEYOND, 0);
    scratch.products.resize(BLOCK * groups, Lanes::ZERO);
    scratch.best.clear();
    scratch.best.resize(groups, Lanes([lowest; LANES]));
    // Of the passages of a block: where each ends, and whether it goes on in the next.
    let mut ends: Vec<(usize, bool)> = Vec::new();
    let mut rows = Rows {
        compute,
        by,
        starts,
        lowest,
        scratch,
    };
    rows.clear();
    for passage in passages {
        let count = passage.codes.len();
        assert!(
            passage.reciprocals.len() == count && passage.residuals.len() == count * bytes,
            "a residual and a reciprocal for each code"
        );
        let mut from = 0;
        while from < count {
            let room = BLOCK - rows.len();
            let end = count.min(from + room);
            rows.push(Embeddings {
                codes: &passage.codes[from..end],
                residuals: &passage.residuals[from * bytes..end * bytes],
                reciprocals: &passage.reciprocals[from..end],
            });
            ends.push((rows.len(), end < count));
            if rows.len() == BLOCK {
                rows.flush(&mut ends, &mut bounded);
            }
            from = end;
        }
    }
    rows.flush(&mut ends, &mut bounded);
}

/// The embeddings of a block.
struct Rows<'a, 'b> {
    compute: &'a Compute,
    by: &'a Ceilings<'b>,
    starts: &'a [Start],
    lowest: f32,
    scratch: &'a mut Scratch,
}

impl Rows<'_, '_> {
    fn len(&self) -> usize {
        self.scratch.rows.len()
    }

    fn clear(&mut self) {
        self.scratch.rows.clear();
    }

    fn push(&mut self, embeddings: Embeddings<'_>) {
        let (dim, table) = (self.by.dim, self.by.levels);
        let levels = &mut self.scratch.levels[self.scratch.rows.len() * dim..];
        let residuals = embeddings.residuals;
        on_isa!(self.compute.isa(), unpack(table: &Levels, dim: usize, residuals: &[u8], levels: &mut [u8]));
        let rows = embeddings.codes.iter().zip(embeddings.reciprocals);
        let rows = rows.map(|(&code, &reciprocal)| (code, reciprocal));
        self.scratch.rows.extend(rows);
    }

    fn flush(&mut self, ends: &mut Vec<(usize, bool)>, bounded: &mut impl FnMut(f32)) {
        let (by, starts) = (self.by, self.starts);
        let scratch = &mut *self.scratch;
        match int8::chosen(self.compute.isa()) {
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::Avx512Vnni(proof) => {
                with_proof!(Avx512Vnni(proof), products(by: &Ceilings<'_>, starts: &[Start], scratch: &mut Scratch));
            }
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::AvxVnni(proof) => {
                with_proof!(AvxVnni(proof), products(by: &Ceilings<'_>, starts: &[Start], scratch: &mut Scratch));
            }
            #[cfg(target_arch = "x86_64")]
            int8::Instructions::Avx2(proof) => {
                with_proof!(Avx2(proof), products_in_pairs(by: &Ceilings<'_>, starts: &[Start], scratch: &mut Scratch));
            }
            int8::Instructions::Plain(isa) => {
                on_isa!(isa, plain_products(by: &Ceilings<'_>, starts: &[Start], scratch: &mut Scratch));
            }
        }
        let (lowest, mut from) = (self.lowest, 0);
        for (end, goes_on) in ends.drain(..) {
            let isa = self.compute.isa();
            on_isa!(isa, raise(scratch: &mut Scratch, from: usize, end: usize));
            if !goes_on {
                bounded(
                    on_isa!(isa, sum_of(by: &Ceilings<'_>, scratch: &mut Scratch, lowest: f32) -> f32),
                );
            }
            from = end;
        }
        self.clear();
    }
}

/// Whether an instruction set adds products of what is 128 too large.
fn offsets(isa: Isa) -> bool {
    match int8::chosen(isa) {
        #[cfg(target_arch = "x86_64")]
        int8::Instructions::Avx2(_) => int8::x86::Pairs::OFFSET,
        _ => true,
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn products_in_pairs(machine: Avx2, by: &Ceilings<'_>, starts: &[Start], scratch: &mut Scratch) {
    products(int8::x86::Pairs(machine), by, starts, scratch);
}

#[inline(always)]
fn plain_products<M: Machine>(
    machine: M,
    by: &Ceilings<'_>,
    starts: &[Start],
    scratch: &mut Scratch,
) {
    products(int8::Plain(machine), by, starts, scratch);
}

#[inline(always)]
fn products<A: Int8>(multiply_add: A, by: &Ceilings<'_>, starts: &[Start], scratch: &mut Scratch) {
    let (levels, _) = scratch.levels.as_chunks::<4>();
    let mut block = Block {
        by,
        starts,
        levels,
        rows: &scratch.rows,
        products: &mut scratch.products,
        multiply_add,
    };
    let (groups, mut group) = (by.groups(), 0);
    if A::PANELS >= 4 {
        while groups - group >= 4 {
            block.column::<4>(group);
            group += 4;
        }
    }
    if A::PANELS >= 2 {
        while groups - group >= 2 {
            block.column::<2>(group);
            group += 2;
        }
    }
    while group < groups {
        block.column::<1>(group);
        group += 1;
    }
}

struct Block<'a, A> {
    by: &'a Ceilings<'a>,
    starts: &'a [Start],
    levels: &'a [[u8; 4]],
    rows: &'a [(i32, f32)],
    products: &'a mut [Lanes],
    multiply_add: A,
}

impl<A: Int8> Block<'_, A> {
    #[inline(always)]
    fn column<const PANELS: usize>(&mut self, group: usize) {
        let mut row = 0;
        while self.rows.len() - row >= ROWS {
            self.tile::<ROWS, PANELS>(row, group);
            row += ROWS;
        }
        while row < self.rows.len() {
            self.tile::<1, PANELS>(row, group);
            row += 1;
        }
    }

    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, group: usize) {
        let (quads, groups) = (self.by.dim / 4, self.by.groups());
        let machine = self.multiply_add.machine();
        let mut sums = [[Sums([0; LANES]); PANELS]; ROWS];
        for r in 0..ROWS {
            let starts = &self.starts[self.rows[row + r].0 as usize * groups + group..][..PANELS];
            for p in 0..PANELS {
                sums[r][p] = starts[p].0;
            }
        }
        let panels: &[Quads] = &self.by.weights.panels[group * quads..];
        continued::<_, ROWS, PANELS>(
            self.multiply_add,
            stretches(&self.levels[row * quads..], quads, 0, quads),
            stretches(panels, quads, 0, quads),
            &mut sums,
        );
        for r in 0..ROWS {
            let reciprocal = self.rows[row + r].1;
            let products = &mut self.products[(row + r) * groups + group..][..PANELS];
            for p in 0..PANELS {
                products[p] = machine.scaled(&sums[r][p].0, reciprocal);
            }
        }
    }
}

/// Raises the largest products of a passage to those of the rows `from..end`.
#[inline(always)]
fn raise<M: Machine>(_: M, scratch: &mut Scratch, from: usize, end: usize) {
    let groups = scratch.best.len();
    for (group, best) in scratch.best.iter_mut().enumerate() {
        let mut largest = *best;
        for row in from..end {
            let products = &scratch.products[row * groups + group];
            for l in 0..LANES {
                largest.0[l] = if products.0[l] > largest.0[l] {
                    products.0[l]
                } else {
                    largest.0[l]
                };
            }
        }
        *best = largest;
    }
}

/// The sum of the largest products, which start anew.
#[inline(always)]
fn sum_of<M: Machine>(_: M, by: &Ceilings<'_>, scratch: &mut Scratch, lowest: f32) -> f32 {
    let mut sums = Lanes::ZERO;
    for (best, worth) in scratch.best.iter_mut().zip(&by.worth) {
        for l in 0..LANES {
            sums.0[l] += best.0[l] * worth.0[l];
        }
        *best = Lanes([lowest; LANES]);
    }
    lane_reduce(&sums.0, |sum, value| sum + value)
}
