//! A subject, whatever it is.

use std::path::PathBuf;
use std::str::FromStr;

use concord_engine::options::NativeOptions;

use super::error::SpecError;
use super::torch::{PREFIX, TorchOptions};

/// A subject by its specification: a text without spaces, options after commas.
#[derive(Clone, Debug, PartialEq)]
pub enum SubjectSpec {
    Native(NativeOptions),
    Torch(TorchOptions),
    /// A recorded run in a folder.
    Recorded(PathBuf),
}

impl FromStr for SubjectSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<SubjectSpec, SpecError> {
        let mut parts = text.split(',');
        if parts.next() == Some("native") {
            return Ok(SubjectSpec::Native(NativeOptions::parse(parts)?));
        }
        if text.starts_with(PREFIX) {
            return Ok(SubjectSpec::Torch(TorchOptions::parse(text)?));
        }
        let path = PathBuf::from(text);
        if path.is_dir() {
            Ok(SubjectSpec::Recorded(path))
        } else {
            Err(SpecError::Unknown(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use concord_model::precision::Precision;

    use super::*;

    fn native(text: &str) -> NativeOptions {
        match text.parse() {
            Ok(SubjectSpec::Native(options)) => options,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn options_come_after_commas_in_any_order() {
        let a = native(
            "native,batch=8,gemm=split-k:4,bert.encoder.layer.4.output.dense:gemm=split-k:3",
        );
        let b = native(
            "native,bert.encoder.layer.4.output.dense:gemm=split-k:3,gemm=split-k:4,batch=8",
        );
        assert_eq!(a, b);
        assert_eq!(a.batch, NonZeroUsize::new(8));
        assert_eq!(
            (a.numerics.variants.len(), a.numerics.patches.len()),
            (1, 1)
        );
    }

    #[test]
    fn a_word_reads_back_without_what_does_not_matter() {
        let text = "native,batch=7,gelu=tanh,bert.encoder.layer.*.output.dense:identity";
        assert_eq!(native(text).to_string(), text);
        assert_eq!(native("native,threads=2,isa=scalar").to_string(), "native");
        let referee = native("native,precision=f64");
        assert_eq!(referee.precision, Precision::F64);
        assert_eq!(referee.to_string(), "native,precision=f64");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_there_is() {
        for (text, said) in [
            ("natve", "native"),
            ("native,batch=0", "whole number from 1"),
            ("native,threads=99999", "at most 1024"),
            ("native,speed=9", "precision="),
            ("native,precision=f8", "f32"),
            ("native,gemm=fast", "matrixmultiply"),
            ("native,isa=mmx", "avx512"),
            ("native,linear:", "MODULE:VARIANT"),
        ] {
            let error = text.parse::<SubjectSpec>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
