//! The sizes of an index, which follow from its sample.

use std::num::NonZeroUsize;

use concord_pipeline::{StageError, Value};
use concord_tensor::Tensor;

/// The most rows that are held out for the buckets, and the part of the sample they are.
const MAX_HELDOUT: f64 = 50_000.0;
const HELDOUT_PART: f64 = 0.05;

/// The sizes of an index, known once the sample has been seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub num_partitions: usize,
    /// The number of centroids by the reference's rule, or that was asked for; more than `num_partitions` where the
    /// collection is too small for it.
    pub num_partitions_by_rule: usize,
    /// The number of embeddings to expect.
    pub num_embeddings_est: f64,
    /// The mean length of the sampled passages, rounded to f32.
    pub avg_doclen_est: f64,
}

impl Plan {
    /// The sizes of an index of that many `passages`, whose sampled ones have `mean_doclen` embeddings each and
    /// `sample` altogether.
    ///
    /// The number of centroids is `2^⌊log2(16·√(passages·mean_doclen))⌋`, or, where the sample has fewer training
    /// rows than that, the largest power of two that it has.
    pub fn of(passages: f64, mean_doclen: f32, sample: usize) -> Plan {
        let avg_doclen_est = f64::from(mean_doclen);
        let num_embeddings_est = passages * avg_doclen_est;
        let rule = (16.0 * num_embeddings_est.sqrt()).log2().floor();
        let num_partitions_by_rule = 1usize << rule.max(0.0) as u32;
        let training = sample - heldout_rows(sample);
        let affordable = if training == 0 {
            1
        } else {
            1 << training.ilog2()
        };
        Plan {
            num_partitions: num_partitions_by_rule.min(affordable),
            num_partitions_by_rule,
            num_embeddings_est,
            avg_doclen_est,
        }
    }

    /// The same with so many centroids instead of those by the rule, or as many as the `sample` has rows to train, where
    /// that is fewer. `None` leaves the rule.
    pub fn with_partitions(self, partitions: Option<NonZeroUsize>, sample: usize) -> Plan {
        let Some(partitions) = partitions else {
            return self;
        };
        let training = sample - heldout_rows(sample);
        Plan {
            num_partitions: partitions.get().min(training.max(1)),
            num_partitions_by_rule: partitions.get(),
            ..self
        }
    }

    /// The artifact `plan`.
    pub fn into_value(self) -> Value {
        Value::of_fields([
            ("num_partitions", Tensor::scalar(self.num_partitions as i64)),
            (
                "num_partitions_by_rule",
                Tensor::scalar(self.num_partitions_by_rule as i64),
            ),
            (
                "num_embeddings_est",
                Tensor::scalar(self.num_embeddings_est),
            ),
            ("avg_doclen_est", Tensor::scalar(self.avg_doclen_est)),
        ])
    }

    /// The plan that a value of the artifact `plan` holds.
    ///
    /// # Errors
    /// When a field is missing or of another dtype.
    pub fn from_value(value: &Value) -> Result<Plan, StageError> {
        let field = |name: &str| {
            value
                .field(name)
                .ok_or_else(|| StageError::from(format!("the plan has no `{name}`")))
        };
        let integer = |name| Ok::<_, StageError>(field(name)?.as_slice::<i64>()?[0] as usize);
        let float = |name| Ok::<_, StageError>(field(name)?.as_slice::<f64>()?[0]);
        Ok(Plan {
            num_partitions: integer("num_partitions")?,
            num_partitions_by_rule: integer("num_partitions_by_rule")?,
            num_embeddings_est: float("num_embeddings_est")?,
            avg_doclen_est: float("avg_doclen_est")?,
        })
    }
}

/// How many rows of a sample of `n` are held out: `⌊min(0.05·n, 50000)⌋`, and at least one where there are two rows or
/// more: buckets are quantiles of something.
pub fn heldout_rows(sample: usize) -> usize {
    let rows = (HELDOUT_PART * sample as f64).min(MAX_HELDOUT) as usize;
    rows.max(usize::from(sample > 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_centroids_follows_the_rule() {
        for (embeddings, centroids) in [
            (54.0, 64),
            (1860.0, 512),
            (7990.99974, 1024),
            (6e8, 262_144),
        ] {
            assert_eq!(
                Plan::of(embeddings, 1.0, 10_000_000).num_partitions,
                centroids
            );
        }
    }

    #[test]
    fn a_small_sample_gets_as_many_centroids_as_it_can_train() {
        let plan = Plan::of(260.0, 1.0, 260);
        assert_eq!(
            (plan.num_partitions_by_rule, plan.num_partitions),
            (256, 128)
        );
        assert_eq!(Plan::of(1.0, 3.0, 3).num_partitions, 2);
    }

    #[test]
    fn as_many_centroids_as_are_asked_for_are_trained_where_there_are_rows() {
        let plan = Plan::of(5000.0, 1.0, 1000);
        let asked = |partitions| plan.with_partitions(NonZeroUsize::new(partitions), 1000);
        assert_eq!(asked(0), plan);
        assert_eq!(asked(300).num_partitions, 300);
        let most = asked(2000);
        assert_eq!(
            (most.num_partitions, most.num_partitions_by_rule),
            (950, 2000)
        );
        assert_eq!(
            Plan::of(1.0, 1.0, 1)
                .with_partitions(NonZeroUsize::new(9), 1)
                .num_partitions,
            1
        );
    }

    #[test]
    fn something_is_always_held_out() {
        assert_eq!(
            [1, 2, 19, 40, 2_000_000].map(heldout_rows),
            [0, 1, 1, 2, 50_000]
        );
    }
}
