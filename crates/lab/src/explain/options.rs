//! What the descriptions of two subjects do not have in common, beside what is an input of the index.

use concord_engine::graph;
use concord_subject::runner::TakenOver;
use concord_subject::specification::SubjectSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::diff::{About, Remark};

/// What an option decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// To what numbers are rounded.
    Precision,
    /// The shapes of batches.
    Shape,
    /// The implementation of attention.
    Attention,
    /// Numeric variants, and modules that are cut out.
    Numerics,
    /// Which kernels of a library are chosen: instruction sets, threads, devices, environment variables.
    Kernels,
    /// The versions of what computes.
    Version,
    /// The engine.
    Engine,
    /// Anything else.
    Other,
}

/// An option that the two sides were given differently, by what their runs say of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionDifference {
    /// Its name in the runs' manifests.
    pub name: String,
    pub kind: OptionKind,
    pub a: String,
    pub b: String,
}

impl OptionKind {
    fn of(name: &str) -> OptionKind {
        match name {
            "precision" => OptionKind::Precision,
            "batch" | "pad" => OptionKind::Shape,
            "attention" => OptionKind::Attention,
            "numerics" => OptionKind::Numerics,
            "cpu_capability" | "environment" | "threads" | "device" | "device_name"
            | "deterministic" | "tf32" => OptionKind::Kernels,
            "torch" | "torch_git" | "mkl" | "onednn" | "cuda" | "cudnn" | "numpy" | "python"
            | "tokenizers" | "transformers" | "colbert-ai" | "contract" | "departures" => {
                OptionKind::Version
            }
            "engine" | "stages_after_encoder" => OptionKind::Engine,
            _ => OptionKind::Other,
        }
    }

    /// What one subject takes over from another to have these options of it; `None` where it cannot.
    pub(super) fn taken_over(self) -> Option<TakenOver> {
        match self {
            OptionKind::Precision => Some(TakenOver::Precision),
            OptionKind::Attention => Some(TakenOver::Attention),
            OptionKind::Numerics => Some(TakenOver::Numerics),
            OptionKind::Kernels => Some(TakenOver::InstructionSet),
            OptionKind::Shape | OptionKind::Version | OptionKind::Engine | OptionKind::Other => {
                None
            }
        }
    }
}

/// The options that both sides state and state differently, by kind. Those that the index is made by are its
/// inputs and not here. `subjects` are the specifications that the runs have.
pub(super) fn differences(remarks: &[Remark], subjects: [&str; 2]) -> Vec<OptionDifference> {
    let options = remarks.iter().filter(|remark| {
        let is_input = graph::decided_by_option(&remark.name).next().is_some();
        remark.about == About::Option && !is_input
    });
    let stated = options.filter_map(|remark| {
        Some(OptionDifference {
            name: remark.name.clone(),
            kind: OptionKind::of(&remark.name),
            a: in_words(remark.a.as_deref()?),
            b: in_words(remark.b.as_deref()?),
        })
    });
    let mut found: Vec<OptionDifference> = stated.collect();
    if let [Some(a), Some(b)] = subjects.map(computed_by)
        && a != b
    {
        found.push(OptionDifference {
            name: "subject".to_owned(),
            kind: OptionKind::Engine,
            a: a.to_owned(),
            b: b.to_owned(),
        });
    }
    // A subject of whose results none depends on its batch does not state it, and has one all the same.
    if let [Some(a), Some(b)] = subjects.map(batch_of)
        && a != b
        && !found.iter().any(|option| option.name == "batch")
    {
        found.push(OptionDifference {
            name: "batch".to_owned(),
            kind: OptionKind::Shape,
            a,
            b,
        });
    }
    found.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    found
}

/// What computes a subject; `None` where its specification does not say.
fn computed_by(subject: &str) -> Option<&'static str> {
    match subject.parse() {
        Ok(SubjectSpec::Native(_)) => Some("native"),
        Ok(SubjectSpec::Torch(_)) => Some("torch"),
        Ok(SubjectSpec::Recorded(_)) | Err(_) => None,
    }
}

/// The passages in a batch that the specification of a native subject asks for; `None` of other subjects.
fn batch_of(subject: &str) -> Option<String> {
    match subject.parse() {
        Ok(SubjectSpec::Native(options)) => Some(match options.batch {
            Some(batch) => batch.to_string(),
            None => "not set".to_owned(),
        }),
        Ok(SubjectSpec::Torch(_) | SubjectSpec::Recorded(_)) | Err(_) => None,
    }
}

/// A value of a manifest as a person writes it.
fn in_words(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Json::String(text)) => text,
        Ok(Json::Array(list)) if list.is_empty() => "none".to_owned(),
        Ok(Json::Array(list)) => {
            let texts = list.iter().map(|value| in_words(&value.to_string()));
            texts.collect::<Vec<_>>().join(" ")
        }
        Ok(Json::Object(fields)) => {
            let fields = fields.iter();
            let texts =
                fields.map(|(name, value)| format!("{name}={}", in_words(&value.to_string())));
            texts.collect::<Vec<_>>().join(" ")
        }
        Ok(Json::Bool(true)) => "on".to_owned(),
        Ok(Json::Bool(false)) => "off".to_owned(),
        _ => value.to_owned(),
    }
}

/// The kinds of these differences that decide how a module computes, each once: not the shapes of its batches.
pub(super) fn deciding(differences: &[OptionDifference]) -> Vec<OptionKind> {
    let mut kinds: Vec<OptionKind> = Vec::new();
    for difference in differences {
        if difference.kind != OptionKind::Shape && !kinds.contains(&difference.kind) {
            kinds.push(difference.kind);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark(about: About, name: &str, a: Option<&str>, b: Option<&str>) -> Remark {
        Remark {
            about,
            name: name.to_owned(),
            a: a.map(str::to_owned),
            b: b.map(str::to_owned),
        }
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        for (value, words) in [
            (r#""bf16""#, "bf16"),
            ("[]", "none"),
            (
                r#"["gelu=tanh","linear:identity"]"#,
                "gelu=tanh linear:identity",
            ),
            (r#"{"MKL_CBWR":"AVX2"}"#, "MKL_CBWR=AVX2"),
            ("true", "on"),
            ("32", "32"),
            ("2.8.0+cu128", "2.8.0+cu128"),
        ] {
            assert_eq!(in_words(value), words);
        }
    }

    #[test]
    fn what_one_side_does_not_state_and_what_the_index_is_made_by_is_left_out() {
        let remarks = [
            remark(
                About::Option,
                "precision",
                Some(r#""f32""#),
                Some(r#""bf16""#),
            ),
            remark(About::Option, "batch", Some("8"), Some("32")),
            remark(About::Option, "attention", Some(r#""eager""#), None),
            remark(About::Option, "nbits", Some("2"), Some("4")),
            remark(About::Input, "checkpoint", Some("x"), Some("y")),
        ];
        let found = differences(&remarks, ["torch==2.8.0", "torch==2.8.0,amp=bf16"]);
        let names: Vec<&str> = found.iter().map(|option| option.name.as_str()).collect();
        assert_eq!(names, ["precision", "batch"]);
        assert_eq!(deciding(&found), [OptionKind::Precision]);
        let engines = differences(&[], ["native", "torch==2.8.0"]);
        assert_eq!(engines[0].kind, OptionKind::Engine);
        assert!(differences(&[], ["native", "native"]).is_empty());
        // The batch is not among what a native run states, and decides where third-party products do.
        let batch = differences(&[], ["native", "native,batch=8"]);
        assert_eq!(deciding(&batch), []);
        assert_eq!(batch[0].kind, OptionKind::Shape);
    }
}
