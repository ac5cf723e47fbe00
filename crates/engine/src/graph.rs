//! The graph of an index build, described without a checkpoint.
//!
//! [`GRAPH`] is what [`Native`](crate::native::Native) puts together, stage by stage; a test holds the two
//! together. What is known of the graph elsewhere, in the lab above all, is derived from it here.

use concord_index::stages::{Calibrate, Cluster, Compress, Invert, Sample, SamplePids, Split};
use concord_model::stages::{Encode, Gather, Tokenize};
use concord_pipeline::declaration::producer;
use concord_pipeline::{Field, Output, StageDeclaration};

use crate::swap::swap_declaration;

/// The stages of a build, in order.
pub const GRAPH: [&StageDeclaration; 10] = [
    &Tokenize::DECLARATION,
    &Encode::DECLARATION,
    &Gather::DECLARATION,
    &SamplePids::DECLARATION,
    &Sample::DECLARATION,
    &Split::DECLARATION,
    &Cluster::DECLARATION,
    &Calibrate::DECLARATION,
    &Compress::DECLARATION,
    &Invert::DECLARATION,
];

/// The stage that makes an artifact, and the output that it is; `None` for a source.
pub fn maker(artifact: &str) -> Option<(&'static StageDeclaration, &'static Output)> {
    producer(&GRAPH, artifact)
}

/// What an artifact is made from, field by field; nothing for a source.
pub fn sources(artifact: &str) -> Vec<Field> {
    maker(artifact).map_or(Vec::new(), |(stage, output)| stage.sources(output))
}

/// The artifacts that an option decides, by the name that manifests have for it.
pub fn decided_by_option(option: &str) -> impl Iterator<Item = &'static str> {
    let outputs = GRAPH.iter().flat_map(|stage| stage.outputs);
    let decided = outputs.filter(move |output| output.options.contains(&option));
    decided.map(|output| output.name)
}

/// Whether an option decides anything that a stage after the encoder makes.
pub fn decides_after_encoder(option: &str) -> bool {
    let after = GRAPH.iter().filter(|stage| !reads_checkpoint(stage));
    let mut outputs = after.flat_map(|stage| stage.outputs);
    outputs.any(|output| output.options.contains(&option))
}

fn reads_checkpoint(stage: &StageDeclaration) -> bool {
    stage.other_inputs.contains(&"checkpoint")
}

/// The artifacts of the stages that read an input that is no artifact, such as `checkpoint`.
pub fn made_from_input(input: &str) -> impl Iterator<Item = &'static str> {
    let stages = GRAPH
        .iter()
        .filter(move |stage| stage.other_inputs.contains(&input));
    let outputs = stages.flat_map(|stage| stage.outputs);
    outputs.map(|output| output.name)
}

/// The settings that decide what is computed, whatever computes it: options, and what ColBERT's configuration
/// says that comes with the checkpoint. Sorted.
pub fn settings() -> Vec<&'static str> {
    let outputs = GRAPH.iter().flat_map(|stage| stage.outputs);
    let options = outputs.flat_map(|output| output.options);
    let configuration = GRAPH.iter().flat_map(|stage| stage.configuration);
    let mut settings: Vec<&str> = options.chain(configuration).copied().collect();
    settings.sort_unstable();
    settings.dedup();
    settings
}

/// The artifacts to give so that `stage` runs on nothing that was computed. What cannot be given is made again
/// from what can. `None` where that takes the checkpoint.
pub fn needs(stage: &StageDeclaration) -> Option<Vec<&'static str>> {
    let mut needed = Vec::new();
    need_inputs(stage, &mut needed).then_some(needed)
}

fn need_inputs(stage: &StageDeclaration, needed: &mut Vec<&'static str>) -> bool {
    !reads_checkpoint(stage)
        && stage
            .inputs
            .iter()
            .all(|input| need(input.field.artifact, needed))
}

fn need(artifact: &'static str, needed: &mut Vec<&'static str>) -> bool {
    if needed.contains(&artifact) {
        return true;
    }
    if let Some(swap) = swap_declaration(artifact) {
        needed.push(artifact);
        // What is given is cut into chunks by what other artifacts say.
        return need_inputs(swap, needed);
    }
    maker(artifact).is_none_or(|(stage, _)| need_inputs(stage, needed))
}

/// The artifact to give so that `artifact` is given: itself, or the one that is made from it alone.
pub fn stand_in(artifact: &str) -> Option<&'static str> {
    if let Some(swap) = swap_declaration(artifact) {
        return swap.outputs.first().map(|output| output.name);
    }
    let outputs = GRAPH
        .iter()
        .filter(|stage| stage.other_inputs.is_empty())
        .flat_map(|stage| stage.outputs.iter().map(move |output| (stage, output)));
    let from_it_alone = outputs.filter(|(stage, output)| {
        let mut sources = stage.sources(output).into_iter();
        sources.len() > 0 && sources.all(|source| source.artifact == artifact)
    });
    from_it_alone
        .filter_map(|(_, output)| stand_in(output.name))
        .next()
}
