//! Ranges of versions: one text for several PyTorch subjects.

use super::error::SpecError;
use super::subject::SubjectSpec;
use super::torch::{PREFIX, TorchOptions};
use crate::python::{TorchRange, TorchVersion};

/// Subjects out of a text that may name several: `torch==2.0.1..2.2.0,batch=8` is one for each version
/// that `published` finds in the range. Other texts name one subject.
///
/// # Errors
/// When the text names nothing, or `published` fails.
pub fn expand<E: From<SpecError>>(
    text: &str,
    published: impl FnOnce(TorchRange) -> Result<Vec<TorchVersion>, E>,
) -> Result<Vec<SubjectSpec>, E> {
    let range = text.strip_prefix(PREFIX).and_then(|rest| {
        let (versions, options) = rest.split_once(',').unwrap_or((rest, ""));
        versions.contains("..").then_some((versions, options))
    });
    let Some((versions, options)) = range else {
        return Ok(vec![text.parse::<SubjectSpec>()?]);
    };
    let range: TorchRange = versions.parse().map_err(SpecError::from)?;
    let comma = if options.is_empty() { "" } else { "," };
    // What is wrong with the options is said before the index is asked.
    let options = TorchOptions::parse(&format!("0.0.0{comma}{options}"))?;
    let subjects = published(range)?.into_iter().map(|version| {
        SubjectSpec::Torch(TorchOptions {
            version,
            ..options.clone()
        })
    });
    Ok(subjects.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_subject_for_each_version_in_it() {
        let versions = |range: TorchRange| {
            assert_eq!(range.to_string(), "2.0.1..2.2.0");
            Ok::<_, SpecError>(["2.0.1", "2.1.0"].map(|v| v.parse().unwrap()).to_vec())
        };
        let texts = expand("torch==2.0.1..2.2.0,batch=8", versions).unwrap();
        let expected = ["2.0.1", "2.1.0"].map(|version| {
            format!("torch=={version},batch=8")
                .parse::<SubjectSpec>()
                .unwrap()
        });
        assert_eq!(texts, expected);
        let none = |_| -> Result<Vec<TorchVersion>, SpecError> { panic!("asked") };
        assert_eq!(expand("native", none).unwrap().len(), 1);
        assert!(expand("torch==2.0.1..2.2.0,speed=9", none).is_err());
    }
}
