//! A subject, whatever it is.

use std::path::PathBuf;
use std::str::FromStr;

use concord_engine::options::NativeOptions;
use concord_engine::settings::OwnSettings;

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

impl SubjectSpec {
    /// What the subject has for its side alone; a recorded run is as it was recorded.
    pub fn own(&self) -> Option<&OwnSettings> {
        match self {
            SubjectSpec::Native(options) => Some(&options.own),
            SubjectSpec::Torch(options) => Some(&options.own),
            SubjectSpec::Recorded(_) => None,
        }
    }
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
        let own = "native,batch=7,gelu=tanh,checkpoint=./other place,nbits=4,doc_maxlen=40,kmeans_niters=2,seed=7";
        assert_eq!(native(own).to_string(), own);
        let reordered = native("native,seed=7,doc_maxlen=40,gelu=tanh");
        assert_eq!(
            reordered.to_string(),
            "native,gelu=tanh,doc_maxlen=40,seed=7"
        );
        assert_eq!(reordered.own.seed, Some(7));
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
            ("native,speed=9", "doc_maxlen="),
            ("native,checkpoint=a,b/c", "`b/c` after `checkpoint=a`"),
            ("native,checkpoint=a,b=c", "part of the path"),
            ("native,checkpoint=", "names no checkpoint"),
            ("native,nbits=", "`nbits=`: a whole number"),
            ("native,doc_maxlen=-1", "`doc_maxlen=-1`"),
            ("native,kmeans_niters=2.5", "`kmeans_niters=2.5`"),
            ("native,seed=4294967296", "from 0 to 4294967295"),
        ] {
            let error = text.parse::<SubjectSpec>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
