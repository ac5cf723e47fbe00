//! Keeping the best.

/// Which of equal scores stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    SmallerId,
    LargerId,
}

impl Tie {
    /// A score with what it belongs to as one number, which is the smaller the better: scores in the order of
    /// [`f32::total_cmp`], then ids.
    pub(super) fn rank(self, score: f32, id: u32) -> u64 {
        let bits = score.to_bits();
        // Ascending with the score: positive ones above, negative ones turned over.
        let ordered = bits ^ ((bits.cast_signed() >> 31).cast_unsigned() | 1 << 31);
        let tie = match self {
            Tie::SmallerId => id,
            Tie::LargerId => !id,
        };
        u64::from(!ordered) << 32 | u64::from(tie)
    }

    /// The ids of the `count` best of `ranks`, ascending, into `ids`.
    pub(super) fn keep_best(self, ranks: &mut [u64], count: usize, ids: &mut Vec<u32>) {
        let kept = match count {
            0 => 0,
            _ if count < ranks.len() => {
                ranks.select_nth_unstable(count - 1);
                count
            }
            _ => ranks.len(),
        };
        ids.clear();
        ids.extend(ranks[..kept].iter().map(|&rank| match self {
            Tie::SmallerId => rank as u32,
            Tie::LargerId => !(rank as u32),
        }));
        ids.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[(f32, u32)], count: usize, tie: Tie) -> Vec<u32> {
        let mut ranks: Vec<u64> = values.iter().map(|&(s, id)| tie.rank(s, id)).collect();
        let mut ids = Vec::new();
        tie.keep_best(&mut ranks, count, &mut ids);
        ids
    }

    #[test]
    fn of_equal_scores_the_preferred_id_stays() {
        let values = [(1.0, 4), (2.0, 9), (1.0, 7), (1.0, 5)];
        assert_eq!(kept(&values, 2, Tie::LargerId), [7, 9]);
        assert_eq!(kept(&values, 2, Tie::SmallerId), [4, 9]);
        assert_eq!(kept(&values, 9, Tie::SmallerId), [4, 5, 7, 9]);
        assert_eq!(kept(&values, 0, Tie::SmallerId), Vec::<u32>::new());
    }

    #[test]
    fn ranks_are_ordered_as_scores_are() {
        let scores = [
            f32::NAN,
            f32::INFINITY,
            3.5,
            1e-45,
            0.0,
            -0.0,
            -1e-45,
            -7.0,
            f32::NEG_INFINITY,
            -f32::NAN,
        ];
        for tie in [Tie::SmallerId, Tie::LargerId] {
            let ranks = scores.map(|score| tie.rank(score, 5));
            assert!(ranks.is_sorted(), "{ranks:x?}");
            assert_eq!(scores.map(f32::to_bits).len(), ranks.len());
            for (at, a) in scores.iter().enumerate() {
                for (other, b) in scores.iter().enumerate() {
                    assert_eq!(ranks[at].cmp(&ranks[other]), b.total_cmp(a));
                }
            }
        }
    }
}
