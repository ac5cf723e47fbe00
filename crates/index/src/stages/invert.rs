//! `invert`: the inverted file.

use concord_pipeline::artifact::{CENTROIDS, CODES, DOCLENS, IVF, IVF_LENGTHS, VALUES};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;

use crate::invert::Inverter;

/// Lists per centroid the passages that have it among their codes.
pub struct Invert;

impl Invert {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::only(CODES)),
            Input::whole(Field::only(DOCLENS)),
            Input::whole(Field::rows_of(CENTROIDS)),
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
        let mut inverter = Inverter::new(call.rows(CENTROIDS)?);
        for (codes, doclens) in call.chunks(CODES)?.zip(call.chunks(DOCLENS)?) {
            inverter.add(codes?.as_slice()?, doclens?.as_slice()?)?;
        }
        let inverted = inverter.finish();
        Ok(vec![
            Tensor::vector(inverted.values).into(),
            Tensor::vector(inverted.pids).into(),
            Tensor::vector(inverted.lengths).into(),
        ])
    }
}
