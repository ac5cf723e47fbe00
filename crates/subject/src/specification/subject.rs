//! A subject, whatever it is.

use std::path::PathBuf;
use std::str::FromStr;

use concord_engine::options::NativeOptions;

use super::error::SpecError;
use super::torch::{PREFIX, TorchOptions};

/// A subject by its specification: one word, options after commas.
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

    fn native(word: &str) -> NativeOptions {
        match word.parse() {
            Ok(SubjectSpec::Native(options)) => options,
            other => panic!("{word}: {other:?}"),
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
        let word = "native,batch=7,gelu=tanh,bert.encoder.layer.*.output.dense:identity";
        assert_eq!(native(word).to_string(), word);
        assert_eq!(native("native,threads=2,isa=scalar").to_string(), "native");
        let referee = native("native,precision=f64");
        assert_eq!(referee.precision, Precision::F64);
        assert_eq!(referee.to_string(), "native,precision=f64");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_there_is() {
        for (word, said) in [
            ("natve", "native"),
            ("native,batch=0", "whole number from 1"),
            ("native,threads=99999", "at most 1024"),
            ("native,speed=9", "precision="),
            ("native,precision=f8", "f32"),
            ("native,gemm=fast", "matrixmultiply"),
            ("native,isa=mmx", "avx512"),
            ("native,linear:", "MODULE:VARIANT"),
        ] {
            let error = word.parse::<SubjectSpec>().unwrap_err().to_string();
            assert!(error.contains(said), "{word}: {error}");
        }
    }
}
