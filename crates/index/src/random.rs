//! The generators behind the reference's draws: Python's `random.sample`, `torch.randperm` and faiss'
//! permutations, all over the Mersenne Twister.
//!
//! MT19937: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), with the authors' 2002
//! initialisation.

const N: usize = 624;
const M: usize = 397;

/// The Mersenne Twister MT19937, 32 bits a draw.
pub struct MersenneTwister {
    state: [u32; N],
    next: usize,
}

impl MersenneTwister {
    /// Seeded by one number (`init_genrand`), as torch and C++ do.
    pub fn from_number(seed: u32) -> MersenneTwister {
        let mut state = [0; N];
        let mut word = seed;
        for (i, slot) in state.iter_mut().enumerate() {
            if i > 0 {
                word = 1_812_433_253u32
                    .wrapping_mul(word ^ (word >> 30))
                    .wrapping_add(i as u32);
            }
            *slot = word;
        }
        MersenneTwister { state, next: N }
    }

    /// Seeded by the 32-bit digits of a number (`init_by_array`), as Python does; a number below 2³² is
    /// one digit.
    pub fn from_key(key: &[u32]) -> MersenneTwister {
        let mut twister = MersenneTwister::from_number(19_650_218);
        let state = &mut twister.state;
        let mixed = |state: &[u32; N], i: usize, factor: u32| {
            state[i] ^ (state[i - 1] ^ (state[i - 1] >> 30)).wrapping_mul(factor)
        };
        let wrap = |state: &mut [u32; N], i: usize| {
            if i + 1 < N {
                i + 1
            } else {
                state[0] = state[N - 1];
                1
            }
        };
        let mut i = 1;
        for round in 0..N.max(key.len()) {
            let j = round % key.len().max(1);
            let digit = key.get(j).copied().unwrap_or(0);
            state[i] = mixed(state, i, 1_664_525)
                .wrapping_add(digit)
                .wrapping_add(j as u32);
            i = wrap(state, i);
        }
        for _ in 0..N - 1 {
            state[i] = mixed(state, i, 1_566_083_941).wrapping_sub(i as u32);
            i = wrap(state, i);
        }
        state[0] = 0x8000_0000;
        twister
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            for i in 0..N {
                let bits = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let twist = if bits & 1 == 0 { 0 } else { 0x9908_b0df };
                self.state[i] = self.state[(i + M) % N] ^ (bits >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut bits = self.state[self.next];
        self.next += 1;
        bits ^= bits >> 11;
        bits ^= (bits << 7) & 0x9d2c_5680;
        bits ^= (bits << 15) & 0xefc6_0000;
        bits ^ (bits >> 18)
    }

    /// A number below `bound`, as Python's `_randbelow_with_getrandbits`.
    fn below(&mut self, bound: u32) -> u32 {
        let bits = u32::BITS - bound.leading_zeros();
        loop {
            let draw = self.next_u32() >> (u32::BITS - bits);
            if draw < bound {
                return draw;
            }
        }
    }

    /// A number between 0 and 1, both included, as faiss' `rand_float`.
    pub fn unit_f32(&mut self) -> f32 {
        self.next_u32() as f32 / u32::MAX as f32
    }
}

/// `random.sample(range(population), count)` after `random.seed(seed)`, in the order drawn.
///
/// `count` is at most `population`.
pub fn python_sample(seed: u32, population: u32, count: u32) -> Vec<u32> {
    let mut twister = MersenneTwister::from_key(&[seed]);
    // Python's estimate of when a set of the drawn ones is smaller than a list of all.
    let mut set_size: u64 = 21;
    if count > 5 {
        let mut power = 1u64;
        while power < 3 * u64::from(count) {
            power *= 4;
        }
        set_size += power;
    }
    let mut drawn = Vec::with_capacity(count as usize);
    if u64::from(population) <= set_size {
        let mut pool: Vec<u32> = (0..population).collect();
        for left in (population - count + 1..=population).rev() {
            drawn.push(pool.swap_remove(twister.below(left) as usize));
        }
    } else {
        let mut seen = vec![false; population as usize];
        for _ in 0..count {
            let pick = loop {
                let pick = twister.below(population);
                if !seen[pick as usize] {
                    break pick;
                }
            };
            seen[pick as usize] = true;
            drawn.push(pick);
        }
    }
    drawn
}

/// `torch.randperm(len)` on the CPU generator seeded with `seed`; faiss' `rand_perm` is the same.
///
/// `len` is below 2³².
pub fn permutation(seed: u32, len: usize) -> Vec<u32> {
    let mut twister = MersenneTwister::from_number(seed);
    let mut order: Vec<u32> = (0..len as u32).collect();
    for i in 0..len.saturating_sub(1) {
        let step = twister.next_u32() % (len - i) as u32;
        order.swap(i, i + step as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_draws_the_numbers_that_python_draws() {
        let mut twister = MersenneTwister::from_key(&[12345]);
        let first: Vec<u32> = (0..4).map(|_| twister.next_u32()).collect();
        assert_eq!(
            first,
            [1_789_368_711, 3_146_859_322, 43_676_229, 3_522_623_596]
        );
    }

    #[test]
    fn samples_begin_as_those_of_python() {
        for (population, count, first) in [
            (10, 10, [6, 0, 4]),
            (12, 12, [6, 0, 4]),
            (60, 60, [26, 46, 0]),
            (2000, 2000, [853, 1500, 20]),
            (50_000, 39_192, [27_303, 48_017, 666]),
            (1_000_000, 175_272, [436_857, 768_276, 10_663]),
            (8_841_823, 521_173, [6_989_721, 170_610, 5_010_345]),
        ] {
            let sample = python_sample(12345, population, count);
            assert_eq!(sample[..3], first, "population {population}");
            let distinct: std::collections::BTreeSet<u32> = sample.iter().copied().collect();
            assert_eq!(distinct.len(), count as usize);
        }
    }

    #[test]
    fn the_permutation_is_that_of_torch() {
        let expected = [
            10, 5, 1, 19, 8, 12, 14, 13, 17, 0, 11, 2, 18, 16, 3, 7, 4, 15, 6, 9,
        ];
        assert_eq!(permutation(12345, 20), expected);
        assert!(permutation(1, 0).is_empty());
    }
}
