//! The precisions that an encoder computes in.

use std::fmt;
use std::str::FromStr;

use concord_kernels::rounding::Format;

/// The precision that an encoder computes in. Softmax, layer normalisation, residuals and the last step to
/// unit length are in `f32` in all of them but the referee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    F32,
    /// Linear layers and attention multiply operands rounded to half precision, add in `f32` and round the
    /// result back: the rules of PyTorch's autocast.
    F16,
    /// The same with `bf16`.
    Bf16,
    /// Linear layers multiply integers of 8 bits, with a scale for each row of the input and each output.
    Int8,
    /// Double precision throughout: the [referee](crate::referee).
    F64,
}

/// A word that names no precision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`: choose one of f32, f16, bf16, int8, f64")]
pub struct UnknownPrecision(pub String);

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 5] = [
        Precision::F32,
        Precision::F16,
        Precision::Bf16,
        Precision::Int8,
        Precision::F64,
    ];

    /// What the results of linear layers, GELU and attention are rounded to.
    pub(crate) fn format(self) -> Format {
        match self {
            Precision::F16 => Format::F16,
            Precision::Bf16 => Format::Bf16,
            Precision::F32 | Precision::Int8 | Precision::F64 => Format::F32,
        }
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Precision, UnknownPrecision> {
        let named = |precision: &Precision| precision.to_string() == text;
        let unknown = || UnknownPrecision(text.to_owned());
        Precision::ALL.into_iter().find(named).ok_or_else(unknown)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
            Precision::F64 => "f64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_reads_back_from_its_word() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "f8".parse::<Precision>().unwrap_err().to_string();
        assert!(error.contains("bf16"), "{error}");
    }
}
