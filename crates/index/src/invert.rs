//! The inverted file: which passages have an embedding near which centroid.

use concord_pipeline::artifact::{CENTROIDS, CODES, DOCLENS, IVF, IVF_LENGTHS, VALUES};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;

/// `invert`: per centroid the passages that have it among their codes, ascending and once each.
pub struct Invert;

impl Invert {
    /// What the stage reads and makes.
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::only(CODES)),
            Input::whole(Field::only(DOCLENS)),
            Input::whole(Field::only(CENTROIDS)),
        ],
        outputs: &[
            Output::transient(VALUES)
                .made_from(&[Field::only(CODES)])
                .absorbed_by("sorting: as many embeddings choose each centroid"),
            Output::stored(IVF)
                .made_from(&[Field::only(CODES), Field::only(DOCLENS)])
                .absorbed_by("making passages unique per centroid"),
            Output::stored(IVF_LENGTHS).absorbed_by("counting passages once per centroid"),
        ],
        ..StageDeclaration::named("invert", Scope::Once)
    };
}

impl Stage for Invert {
    fn declaration(&self) -> &'static StageDeclaration {
        &Invert::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let centroids = call.tensor(CENTROIDS)?.rows();
        let mut counts = vec![0usize; centroids];
        let mut passages: Vec<Vec<i32>> = vec![Vec::new(); centroids];
        let mut pid = 0i32;
        for (codes, doclens) in call.chunks(CODES)?.zip(call.chunks(DOCLENS)?) {
            let (codes, doclens) = (codes?, doclens?);
            let mut codes = codes.as_slice::<i32>()?.iter();
            for &doclen in doclens.as_slice::<i64>()? {
                for &code in codes.by_ref().take(doclen as usize) {
                    let code = usize::try_from(code)
                        .ok()
                        .filter(|&code| code < centroids)
                        .ok_or_else(|| {
                            format!(
                                "passage {pid} has code {code}, but there are {centroids} centroids"
                            )
                        })?;
                    counts[code] += 1;
                    if passages[code].last() != Some(&pid) {
                        passages[code].push(pid);
                    }
                }
                pid += 1;
            }
        }
        let values: Vec<i64> = counts
            .iter()
            .enumerate()
            .flat_map(|(code, &count)| std::iter::repeat_n(code as i64, count))
            .collect();
        let lengths: Vec<i64> = passages.iter().map(|pids| pids.len() as i64).collect();
        Ok(vec![
            Tensor::vector(values).into(),
            Tensor::vector(passages.concat()).into(),
            Tensor::vector(lengths).into(),
        ])
    }
}
