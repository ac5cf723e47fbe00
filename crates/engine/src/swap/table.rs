//! Which artifacts can be swapped.

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, EMBS,
    LOCAL_SAMPLE_EMBS, PASSAGES, RESIDUALS, SAMPLE, SAMPLE_HELDOUT, SAMPLED_PIDS,
};
use concord_pipeline::{Field, Input, Output, Scope, StageDeclaration};
use concord_tensor::DType;

/// How a swapped artifact is cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// It is one chunk.
    Whole,
    /// A row a passage.
    Passages,
    /// A row an embedding.
    Embeddings,
}

/// An artifact that can be swapped.
pub(super) struct Swappable {
    /// The stage that gives it, which has this one output.
    pub(super) declaration: StageDeclaration,
    /// The dtype that it has in the graph.
    pub(super) dtype: DType,
    pub(super) rows: Rows,
}

impl Swappable {
    pub(super) const fn artifact(&self) -> &'static str {
        self.declaration.outputs[0].name
    }
}

const fn whole(stage: &'static str, outputs: &'static [Output; 1], dtype: DType) -> Swappable {
    swappable(stage, outputs, dtype, Rows::Whole, Scope::Once, &[])
}

const fn of_embeddings(
    stage: &'static str,
    outputs: &'static [Output; 1],
    dtype: DType,
) -> Swappable {
    const INPUTS: &[Input] = &[Input::whole(Field::only(DOCLENS))];
    let (rows, scope) = (Rows::Embeddings, Scope::EachChunk);
    swappable(stage, outputs, dtype, rows, scope, INPUTS)
}

const fn of_passages(
    stage: &'static str,
    outputs: &'static [Output; 1],
    dtype: DType,
) -> Swappable {
    const INPUTS: &[Input] = &[Input::same_chunk(Field::new(PASSAGES, "ends"))];
    let (rows, scope) = (Rows::Passages, Scope::EachChunk);
    swappable(stage, outputs, dtype, rows, scope, INPUTS)
}

const fn swappable(
    stage: &'static str,
    outputs: &'static [Output; 1],
    dtype: DType,
    rows: Rows,
    scope: Scope,
    inputs: &'static [Input],
) -> Swappable {
    let declaration = StageDeclaration {
        inputs,
        outputs,
        other_inputs: &["tensor"],
        ..StageDeclaration::named(stage, scope)
    };
    Swappable {
        declaration,
        dtype,
        rows,
    }
}

/// The artifacts that can be swapped, in the order of the graph.
pub(super) static SWAPPABLE: [Swappable; 12] = [
    whole(
        "swap sampled_pids",
        &[Output::stored(SAMPLED_PIDS)],
        DType::I64,
    ),
    of_passages("swap doclens", &[Output::stored(DOCLENS)], DType::I64),
    of_embeddings("swap embs", &[Output::stored(EMBS)], DType::F16),
    whole(
        "swap local_sample_embs",
        &[Output::stored(LOCAL_SAMPLE_EMBS)],
        DType::F16,
    ),
    whole("swap sample", &[Output::stored(SAMPLE)], DType::F16),
    whole(
        "swap sample_heldout",
        &[Output::stored(SAMPLE_HELDOUT)],
        DType::F16,
    ),
    whole("swap centroids", &[Output::stored(CENTROIDS)], DType::F32),
    whole(
        "swap bucket_cutoffs",
        &[Output::stored(BUCKET_CUTOFFS)],
        DType::F32,
    ),
    whole(
        "swap bucket_weights",
        &[Output::stored(BUCKET_WEIGHTS)],
        DType::F32,
    ),
    whole(
        "swap avg_residual",
        &[Output::stored(AVG_RESIDUAL)],
        DType::F32,
    ),
    of_embeddings("swap codes", &[Output::stored(CODES)], DType::I32),
    of_embeddings("swap residuals", &[Output::stored(RESIDUALS)], DType::U8),
];

/// What the stage reads and makes that gives an artifact; `None` for one that cannot be swapped.
pub fn swap_declaration(artifact: &str) -> Option<&'static StageDeclaration> {
    let mut swappable = SWAPPABLE.iter();
    let found = swappable.find(|swappable| swappable.artifact() == artifact);
    found.map(|swappable| &swappable.declaration)
}

pub(super) fn names() -> String {
    let names = SWAPPABLE.iter().map(Swappable::artifact);
    names.collect::<Vec<_>>().join(", ")
}
