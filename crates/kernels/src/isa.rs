//! Instruction sets: what this machine has, and which one a kernel runs on.
//!
//! Every kernel has one body. The body is written over [`Lanes`](crate::lanes::Lanes), sixteen `f32` side
//! by side, and is compiled once per instruction set by the macro `on_isa!`, so that the instances cannot
//! drift apart. An instruction set decides how many of the sixteen lanes a register holds and nothing else.

use std::fmt;
use std::str::FromStr;

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// No vector or fused instructions assumed; the fused multiply-add is emulated exactly.
    Scalar,
    /// AVX2 with FMA (x86-64-v3).
    Avx2,
    /// AVX-512 F, BW, DQ and VL (x86-64-v4).
    Avx512,
    /// NEON (aarch64).
    Neon,
}

/// Why an instruction set cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The name is none that exists.
    #[error("unknown instruction set `{0}`: choose one of scalar, avx2, avx512, neon")]
    Unknown(String),
    /// The name exists, but this machine does not have it.
    #[error("this machine does not have {0}: it has {has}", has = names(&Isa::available()))]
    Unavailable(Isa),
}

fn names(isas: &[Isa]) -> String {
    isas.iter()
        .map(Isa::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Isa {
    /// Every instruction set this machine can run, slowest first. Never empty.
    pub fn available() -> Vec<Isa> {
        [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Neon]
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// The fastest instruction set of this machine.
    pub fn fastest() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Scalar)
    }

    /// Checks that this machine can run `self`.
    pub fn checked(self) -> Result<Isa, IsaError> {
        if self.is_available() {
            Ok(self)
        } else {
            Err(IsaError::Unavailable(self))
        }
    }

    fn is_available(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(
                unreachable_patterns,
                reason = "what is left depends on the architecture"
            )]
            _ => false,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        })
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Isa, IsaError> {
        match name {
            "scalar" => Ok(Isa::Scalar),
            "avx2" => Ok(Isa::Avx2),
            "avx512" => Ok(Isa::Avx512),
            "neon" => Ok(Isa::Neon),
            other => Err(IsaError::Unknown(other.to_owned())),
        }
    }
}

/// Compiles one kernel body for every instruction set and calls the instance that `isa` names.
///
/// `on_isa!(isa, body(args: Types) -> Ret)`: `body` is an `#[inline(always)]` function generic over
/// [`Machine`](crate::machine::Machine). The instances are ordinary functions with more target features; the
/// body is the same tokens in each.
macro_rules! on_isa {
    ($isa:expr, $body:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($arg: $ty),*) $(-> $ret)? { $body::<$crate::machine::Avx2>($($arg),*) }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512($($arg: $ty),*) $(-> $ret)? { $body::<$crate::machine::Avx512>($($arg),*) }
        #[cfg(target_arch = "aarch64")]
        #[target_feature(enable = "neon")]
        fn neon($($arg: $ty),*) $(-> $ret)? { $body::<$crate::machine::Neon>($($arg),*) }
        fn scalar($($arg: $ty),*) $(-> $ret)? { $body::<$crate::machine::Scalar>($($arg),*) }

        match $isa.checked() {
            #[cfg(target_arch = "x86_64")]
            Ok($crate::isa::Isa::Avx2) => {
                // SAFETY: `Isa::checked` found AVX2 and FMA on this machine.
                unsafe { avx2($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            Ok($crate::isa::Isa::Avx512) => {
                // SAFETY: `Isa::checked` found AVX-512 F, BW, DQ, VL and FMA on this machine.
                unsafe { avx512($($arg),*) }
            }
            #[cfg(target_arch = "aarch64")]
            Ok($crate::isa::Isa::Neon) => {
                // SAFETY: `Isa::checked` found NEON on this machine.
                unsafe { neon($($arg),*) }
            }
            // The scalar instance gives the same bits, so it stands in wherever the others cannot run.
            _ => scalar($($arg),*),
        }
    }};
}
pub(crate) use on_isa;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_the_same_instruction_set() {
        for isa in [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Neon] {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = "sse9".parse::<Isa>().unwrap_err().to_string();
        assert!(
            error.contains("sse9") && error.contains("avx512"),
            "{error}"
        );
    }
}
