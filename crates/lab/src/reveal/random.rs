//! Choices that are the same every time.

/// The next of a sequence of numbers without visible order: SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // The bias is below end / 2^64, and nothing here depends on a uniform choice.
        (self.next() % end.max(1) as u64) as usize
    }

    /// Numbers of mixed size and sign, so that their sums and products round and the order of additions
    /// shows. They have `bits` significant bits, and exponents that keep an `f16` in range when some
    /// thousand are added up and still spread products over more bits than an `f32` has.
    pub(crate) fn numbers(&mut self, count: usize, bits: u32) -> Vec<f32> {
        let number = |_| {
            let number = self.next();
            let size = ((number >> (64 - bits)) | 1) as f32 / (1u64 << bits) as f32;
            let exponent = (number % 11) as i32 - 8;
            let sign = if number & (1 << 20) == 0 { 1.0 } else { -1.0 };
            sign * size * 2f32.powi(exponent)
        };
        (0..count).map(number).collect()
    }

    /// Two different numbers below `end`, of which there must be two.
    pub(crate) fn pair(&mut self, end: usize) -> (usize, usize) {
        let first = self.below(end);
        let second = self.below(end.saturating_sub(1));
        (first, second + usize::from(second >= first))
    }
}
