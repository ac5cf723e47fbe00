//! Distances in units of the last place.

use super::report::{Place, UlpBucket, UlpPeak, UlpReport};

/// The number of steps from one float to the next that lead from `a` to `b`, given their bits and
/// the bit that is the sign.
///
/// The bits of floats of one sign are ordered like the floats; mirroring the negative ones makes
/// one line of all (Bruce Dawson, "Comparing Floating Point Numbers", 2012). Both zeros are at its
/// middle, no step apart, and an infinity is one step beyond the largest number.
pub(super) fn distance(a: u64, b: u64, sign: u64) -> u64 {
    let ordered = |bits: u64| {
        let magnitude = (bits & (sign - 1)) as i64;
        if bits & sign != 0 {
            -magnitude
        } else {
            magnitude
        }
    };
    ordered(a).abs_diff(ordered(b))
}

/// Counts distances in buckets that double in width: 0, 1, 2, 3–4, 5–8, and so on.
#[derive(Clone, Debug)]
pub(super) struct UlpHistogram {
    counts: [usize; 66],
    worst: Option<(u64, usize)>,
}

impl Default for UlpHistogram {
    fn default() -> UlpHistogram {
        UlpHistogram {
            counts: [0; 66],
            worst: None,
        }
    }
}

impl UlpHistogram {
    /// Counts pairs of equal floats.
    pub(super) fn add_equal(&mut self, pairs: usize) {
        self.counts[0] += pairs;
    }

    /// Counts a pair of floats that are `ulps` apart.
    pub(super) fn add(&mut self, ulps: u64, at: usize) {
        self.counts[bucket(ulps)] += 1;
        if ulps > self.worst.map_or(0, |(worst, _)| worst) {
            self.worst = Some((ulps, at));
        }
    }

    pub(super) fn report(&self, shape: &[usize]) -> UlpReport {
        let bucket = |(bucket, &count): (usize, &usize)| {
            let (low, high) = bounds(bucket);
            (count > 0).then_some(UlpBucket { low, high, count })
        };
        UlpReport {
            worst: self.worst.map(|(ulps, flat)| UlpPeak {
                ulps,
                at: Place::new(flat, shape),
            }),
            histogram: self.counts.iter().enumerate().filter_map(bucket).collect(),
        }
    }
}

/// The bucket of a distance: 0 for 0, otherwise 1 more than its binary logarithm, rounded up.
fn bucket(ulps: u64) -> usize {
    match ulps {
        0 => 0,
        _ => 65 - (ulps - 1).leading_zeros() as usize,
    }
}

/// The least and greatest distance of a bucket.
fn bounds(bucket: usize) -> (u64, u64) {
    match bucket {
        0 => (0, 0),
        1 => (1, 1),
        65 => ((1 << 63) + 1, u64::MAX),
        _ => ((1 << (bucket - 2)) + 1, 1 << (bucket - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distance_is_within_the_bounds_of_its_bucket() {
        let powers = (0..64).map(|exponent| 1_u64 << exponent);
        let near = powers.flat_map(|power| [power - 1, power, power + 1]);
        for ulps in near.chain([u64::MAX]) {
            let (low, high) = bounds(bucket(ulps));
            assert!(
                (low..=high).contains(&ulps),
                "{ulps} is not within {low}..={high}"
            );
        }
    }

    #[test]
    fn the_first_buckets_are_those_promised() {
        let buckets: Vec<_> = (0..6).map(bounds).collect();
        assert_eq!(buckets, [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]);
    }

    #[test]
    fn the_whole_line_of_doubles_fits_a_distance() {
        let (low, high) = (f64::NEG_INFINITY.to_bits(), f64::INFINITY.to_bits());
        assert_eq!(distance(low, high, 1 << 63), 2 * 0x7ff0_0000_0000_0000);
    }
}
