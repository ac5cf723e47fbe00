//! Instruction sets: what this machine has, and which one a kernel runs on.
//!
//! Every kernel has one body. The body is written over [`Lanes`](crate::lanes::Lanes), sixteen `f32` side
//! by side, and is compiled once per instruction set by the macro `on_isa!`, so that the instances cannot
//! drift apart. An instruction set decides how many of the sixteen lanes a register holds and nothing else.

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
    #[error("this machine does not have {name}: it has {has}")]
    Unavailable {
        /// What was asked for.
        name: &'static str,
        /// What there is, with commas.
        has: String,
    },
}

impl Isa {
    const ALL: [Isa; 4] = [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Neon];

    /// Every instruction set this machine can run, slowest first. Never empty.
    pub fn available() -> Vec<Isa> {
        Isa::ALL
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// The fastest instruction set of this machine.
    pub fn fastest() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Scalar)
    }

    /// The instruction set of that name, if this machine can run it.
    pub fn of_this_machine(name: &str) -> Result<Isa, IsaError> {
        let known = Isa::ALL.into_iter().find(|isa| isa.name() == name);
        let isa = known.ok_or_else(|| IsaError::Unknown(name.to_owned()))?;
        if isa.is_available() {
            return Ok(isa);
        }
        let has: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
        Err(IsaError::Unavailable {
            name: isa.name(),
            has: has.join(", "),
        })
    }

    /// Its name, as the program's option has it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    pub fn is_available(self) -> bool {
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

        match $isa {
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Isa::Avx2 if $crate::isa::Isa::Avx2.is_available() => {
                // SAFETY: `is_available` found AVX2 and FMA on this machine.
                unsafe { avx2($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Isa::Avx512 if $crate::isa::Isa::Avx512.is_available() => {
                // SAFETY: `is_available` found AVX-512 F, BW, DQ, VL and FMA on this machine.
                unsafe { avx512($($arg),*) }
            }
            #[cfg(target_arch = "aarch64")]
            $crate::isa::Isa::Neon if $crate::isa::Isa::Neon.is_available() => {
                // SAFETY: `is_available` found NEON on this machine.
                unsafe { neon($($arg),*) }
            }
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
        for isa in Isa::available() {
            assert_eq!(Isa::of_this_machine(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = Isa::of_this_machine("sse9").unwrap_err().to_string();
        assert!(
            error.contains("sse9") && error.contains("avx512"),
            "{error}"
        );
    }

    #[test]
    fn a_name_of_another_architecture_is_answered_with_those_of_this_machine() {
        let other = if cfg!(target_arch = "aarch64") {
            "avx2"
        } else {
            "neon"
        };
        let error = Isa::of_this_machine(other).unwrap_err().to_string();
        assert!(
            error.contains(other) && error.contains("it has scalar"),
            "{error}"
        );
    }
}
