//! What centroids and buckets are learned from: the sampled passages, the plan, and the split.

use concord_pipeline::artifact::{
    DOCLENS, EMBS, LOCAL_SAMPLE_EMBS, NUM_PASSAGES, PLAN, SAMPLE, SAMPLE_HELDOUT, SAMPLED_PIDS,
};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;
use half::f16;

use crate::random::{permutation, python_sample};

/// The length that the reference takes passages to have before it has seen any.
const TYPICAL_DOCLEN: f64 = 120.0;

/// The most rows that are held out for the buckets, and the part of the sample they are.
const MOST_HELDOUT: f64 = 50_000.0;
const HELDOUT_PART: f64 = 0.05;

/// `sample_pids`: which passages are sampled.
///
/// `min(1 + ⌊16·√(120·N)⌋, N)` of them, drawn by Python's generator.
pub struct SamplePids {
    /// The seed of the draw.
    pub seed: u32,
}

impl SamplePids {
    /// What the stage reads and makes.
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[Input::whole(Field::only(NUM_PASSAGES))],
        outputs: &[Output::stored(SAMPLED_PIDS)
            .with_options(&["seed"])
            .absorbed_by("the draw of the sample")],
        ..StageDeclaration::named("sample_pids", Scope::Once)
    };
}

impl Stage for SamplePids {
    fn declaration(&self) -> &'static StageDeclaration {
        &SamplePids::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![Setting::new("seed", self.seed)]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let passages = call.tensor(NUM_PASSAGES)?.as_slice::<i64>()?[0];
        let population = u32::try_from(passages)
            .map_err(|_| format!("{passages} passages are more than an index numbers (2^32)"))?;
        let count = (1 + (16.0 * (TYPICAL_DOCLEN * f64::from(population)).sqrt()) as u64)
            .min(u64::from(population)) as u32;
        let mut pids: Vec<i64> = python_sample(self.seed, population, count)
            .into_iter()
            .map(i64::from)
            .collect();
        pids.sort_unstable();
        Ok(vec![Tensor::vector(pids).into()])
    }
}

/// `sample`: the embeddings of the sampled passages, and the sizes derived from them.
///
/// The mean length of the sampled passages is rounded to f32. The number of centroids is
/// `2^⌊log2(16·√(N·mean))⌋`, or, where the sample has fewer training rows than that, the largest power
/// of two that it has.
pub struct Sample;

impl Sample {
    /// What the stage reads and makes.
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::only(NUM_PASSAGES)),
            Input::whole(Field::only(SAMPLED_PIDS)),
            Input::whole(Field::only(DOCLENS)),
            Input::whole(Field::only(EMBS)),
        ],
        outputs: &[
            Output::stored(LOCAL_SAMPLE_EMBS)
                .made_from(&[
                    Field::only(SAMPLED_PIDS),
                    Field::only(DOCLENS),
                    Field::only(EMBS),
                ])
                .absorbed_by("the sample, which holds none of the passages that differ"),
            Output::stored(PLAN)
                .made_from(&[
                    Field::only(NUM_PASSAGES),
                    Field::only(SAMPLED_PIDS),
                    Field::only(DOCLENS),
                ])
                .absorbed_by("rounding the number of centroids to a power of two"),
        ],
        ..StageDeclaration::named("sample", Scope::Once)
    };
}

impl Stage for Sample {
    fn declaration(&self) -> &'static StageDeclaration {
        &Sample::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let passages = call.tensor(NUM_PASSAGES)?.as_slice::<i64>()?[0];
        let pids = call.tensor(SAMPLED_PIDS)?;
        let pids = pids.as_slice::<i64>()?;
        let mut wanted = pids.iter().copied().peekable();
        let (mut rows, mut width, mut tokens) = (Vec::<f16>::new(), 0, 0u64);
        let mut pid = 0i64;
        for (embs, doclens) in call.chunks(EMBS)?.zip(call.chunks(DOCLENS)?) {
            let (embs, doclens) = (embs?, doclens?);
            width = embs.row_len();
            let values = embs.as_slice::<f16>()?;
            let doclens = doclens.as_slice::<i64>()?;
            let listed = doclens.iter().sum::<i64>();
            if usize::try_from(listed) != Ok(embs.rows()) {
                let (found, last) = (embs.rows(), pid + doclens.len() as i64 - 1);
                return Err(format!(
                    "passages {pid} to {last} have {listed} embeddings by `doclens`, and `embs` has {found}"
                )
                .into());
            }
            let mut first = 0;
            for &doclen in doclens {
                let last = first + doclen as usize;
                if wanted.next_if_eq(&pid).is_some() {
                    rows.extend_from_slice(&values[first * width..last * width]);
                    tokens += doclen as u64;
                }
                first = last;
                pid += 1;
            }
        }
        let count = rows.len() / width.max(1);
        let mean = (tokens as f64 / pids.len() as f64) as f32;
        let plan = Plan::of(passages as f64, mean, count);
        Ok(vec![
            Tensor::new(vec![count, width], rows)?.into(),
            plan.into_value(),
        ])
    }
}

/// The sizes of an index, known once the sample has been seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The number of centroids.
    pub num_partitions: usize,
    /// The number of centroids by the reference's rule; more than `num_partitions` where the
    /// collection is too small for it.
    pub num_partitions_by_rule: usize,
    /// The number of embeddings to expect.
    pub num_embeddings_est: f64,
    /// The mean length of the sampled passages, rounded to f32.
    pub avg_doclen_est: f64,
}

impl Plan {
    fn of(passages: f64, mean_doclen: f32, sample: usize) -> Plan {
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

    fn into_value(self) -> Value {
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

/// `⌊min(0.05·n, 50000)⌋`, and at least one where there are two rows or more: buckets are quantiles of
/// something.
fn heldout_rows(sample: usize) -> usize {
    let rows = (HELDOUT_PART * sample as f64).min(MOST_HELDOUT) as usize;
    rows.max(usize::from(sample > 1))
}

/// `split`: the sample, shuffled by torch's permutation; the last rows are held out.
pub struct Split {
    /// The seed of the permutation.
    pub seed: u32,
}

impl Split {
    /// What the stage reads and makes.
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[Input::whole(Field::only(LOCAL_SAMPLE_EMBS))],
        outputs: &[
            Output::stored(SAMPLE)
                .with_options(&["seed"])
                .absorbed_by("the split, whose held-out part has all that differs"),
            Output::stored(SAMPLE_HELDOUT)
                .with_options(&["seed"])
                .absorbed_by("the split, whose training part has all that differs"),
        ],
        ..StageDeclaration::named("split", Scope::Once)
    };
}

impl Stage for Split {
    fn declaration(&self) -> &'static StageDeclaration {
        &Split::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![Setting::new("seed", self.seed)]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let embs = call.tensor(LOCAL_SAMPLE_EMBS)?;
        let (count, width) = (embs.rows(), embs.row_len());
        let values = embs.as_slice::<f16>()?;
        let shuffled: Vec<f16> = permutation(self.seed, count)
            .into_iter()
            .flat_map(|row| &values[row as usize * width..(row as usize + 1) * width])
            .copied()
            .collect();
        let shuffled = Tensor::new(vec![count, width], shuffled)?;
        let training = count - heldout_rows(count);
        let sample = shuffled.slice_rows(0..training)?;
        let heldout = shuffled.slice_rows(training..count)?;
        Ok(vec![sample.into(), heldout.into()])
    }
}

/// The tensor of a value that is a single one.
pub(crate) fn single(value: &Value) -> Result<Tensor, StageError> {
    Ok(value
        .field("")
        .ok_or("a single tensor was expected, but it has fields")?
        .clone())
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
    fn something_is_always_held_out() {
        assert_eq!(
            [1, 2, 19, 40, 2_000_000].map(heldout_rows),
            [0, 1, 1, 2, 50_000]
        );
    }
}
