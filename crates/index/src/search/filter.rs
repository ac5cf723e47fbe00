//! Scores from centroids alone, and keeping the best.

/// The score that a query token has for a passage none of whose centroids count.
const NOTHING: f32 = -9999.0;

/// A score with what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scored {
    pub(super) score: f32,
    pub(super) id: u32,
}

/// Which of equal scores stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    SmallerId,
    LargerId,
}

/// The ids of the `count` largest scores, ascending; of equal scores, those that `tie` prefers.
pub(super) fn keep_best(scored: impl Iterator<Item = Scored>, count: usize, tie: Tie) -> Vec<u32> {
    let mut scored: Vec<Scored> = scored.collect();
    let order = |a: &Scored, b: &Scored| {
        let by_id = match tie {
            Tie::SmallerId => a.id.cmp(&b.id),
            Tie::LargerId => b.id.cmp(&a.id),
        };
        b.score.total_cmp(&a.score).then(by_id)
    };
    if count < scored.len() {
        if count > 0 {
            scored.select_nth_unstable_by(count - 1, order);
        }
        scored.truncate(count);
    }
    let mut ids: Vec<u32> = scored.into_iter().map(|scored| scored.id).collect();
    ids.sort_unstable();
    ids
}

/// `Σ_q max_c S[c][q]` over the centroids `codes` of a passage, those that are `near` if given, for
/// `scores` `(C, tokens)`; the sum in the order of query tokens. `best` is scratch of one value a token.
pub(super) fn passage_score(
    codes: &[i32],
    scores: &[f32],
    near: Option<&[bool]>,
    best: &mut [f32],
) -> f32 {
    let tokens = best.len();
    best.fill(NOTHING);
    for &code in codes {
        let code = code as usize;
        if near.is_none_or(|near| near[code]) {
            for (best, &score) in best.iter_mut().zip(&scores[code * tokens..]) {
                if score > *best {
                    *best = score;
                }
            }
        }
    }
    best.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(values: &[(f32, u32)]) -> impl Iterator<Item = Scored> {
        values.iter().map(|&(score, id)| Scored { score, id })
    }

    #[test]
    fn of_equal_scores_the_preferred_id_stays() {
        let values = [(1.0, 4), (2.0, 9), (1.0, 7), (1.0, 5)];
        assert_eq!(keep_best(scored(&values), 2, Tie::LargerId), [7, 9]);
        assert_eq!(keep_best(scored(&values), 2, Tie::SmallerId), [4, 9]);
        assert_eq!(keep_best(scored(&values), 9, Tie::SmallerId), [4, 5, 7, 9]);
        assert_eq!(
            keep_best(scored(&values), 0, Tie::SmallerId),
            Vec::<u32>::new()
        );
    }

    #[test]
    fn a_passage_without_near_centroids_scores_nothing_per_token() {
        let scores = [0.5, 0.1, 0.2, 0.9];
        let mut best = [0.0; 2];
        assert_eq!(passage_score(&[0, 1], &scores, None, &mut best), 0.5 + 0.9);
        assert_eq!(
            passage_score(&[0, 1], &scores, Some(&[false, false]), &mut best),
            2.0 * NOTHING
        );
    }
}
