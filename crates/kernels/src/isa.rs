//! Instruction sets: what this machine has, and which one a kernel runs on.
//!
//! Every kernel has one body. The body is written over sixteen `f32` side by side, and is compiled once per
//! instruction set by the macro `on_isa!`, so that the instances cannot drift apart. An instruction set decides
//! how many of the sixteen lanes a register holds and nothing else.
//!
//! A value of the types here is the proof that this machine has the instructions that the type is named after:
//! only this file makes one, after it has looked. Whoever executes such an instruction takes the value as an
//! argument, so that safe code cannot come to it on a machine without.

/// No vector or fused instructions assumed; the fused multiply-add is emulated exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar;

/// Defines the proofs, each for one architecture.
macro_rules! proofs {
    ($($(#[$doc:meta])* $arch:literal $name:ident;)*) => {$(
        $(#[$doc])*
        #[cfg(target_arch = $arch)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(());
    )*};
}

proofs! {
    /// AVX2 with FMA (x86-64-v3).
    "x86_64" Avx2;
    /// AVX-512 F, BW, DQ and VL with all that [`Avx2`] has (x86-64-v4).
    "x86_64" Avx512;
    /// NEON.
    "aarch64" Neon;
    /// `vpdpbusd` on eight sums: AVX-VNNI, with all that [`Avx2`] has.
    "x86_64" AvxVnni;
    /// `vpdpbusd` on sixteen sums: AVX-512 VNNI, with all that [`Avx512`] has.
    "x86_64" Avx512Vnni;
    /// `vdpbf16ps`: AVX-512 BF16, with all that [`Avx512`] has.
    "x86_64" Avx512Bf16;
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    fn try_new() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has.then_some(Avx2(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    fn try_new() -> Option<Avx512> {
        Avx2::try_new()?;
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        has.then_some(Avx512(()))
    }

    /// What it includes.
    pub fn avx2(self) -> Avx2 {
        Avx2(())
    }
}

#[cfg(target_arch = "aarch64")]
impl Neon {
    fn try_new() -> Option<Neon> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl AvxVnni {
    /// Where this machine has it beside `Avx2`.
    pub fn try_beside(_: Avx2) -> Option<AvxVnni> {
        is_x86_feature_detected!("avxvnni").then_some(AvxVnni(()))
    }

    /// What it includes.
    pub fn avx2(self) -> Avx2 {
        Avx2(())
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512Vnni {
    /// Where this machine has it beside `Avx512`.
    pub fn try_beside(_: Avx512) -> Option<Avx512Vnni> {
        is_x86_feature_detected!("avx512vnni").then_some(Avx512Vnni(()))
    }

    /// What it includes.
    pub fn avx512(self) -> Avx512 {
        Avx512(())
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512Bf16 {
    /// Where this machine has it beside `Avx512`.
    pub fn try_beside(_: Avx512) -> Option<Avx512Bf16> {
        is_x86_feature_detected!("avx512bf16").then_some(Avx512Bf16(()))
    }
}

/// An instruction set that the kernels are compiled for, and that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

/// Why an instruction set cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    #[error("unknown instruction set `{0}`: choose one of {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// The name exists, but this machine does not have it.
    #[error("this machine does not have {name}: it has {has}")]
    Unavailable {
        name: &'static str,
        /// What there is, with commas.
        has: String,
    },
}

/// The instruction sets of all machines, by their names in the program's option.
const NAMES: [&str; 4] = ["scalar", "avx2", "avx512", "neon"];

impl Isa {
    /// Every instruction set of this machine, slowest first. Never empty.
    pub fn available() -> Vec<Isa> {
        let of_this_machine = [
            Some(Isa::Scalar(Scalar)),
            #[cfg(target_arch = "x86_64")]
            Avx2::try_new().map(Isa::Avx2),
            #[cfg(target_arch = "x86_64")]
            Avx512::try_new().map(Isa::Avx512),
            #[cfg(target_arch = "aarch64")]
            Neon::try_new().map(Isa::Neon),
        ];
        of_this_machine.into_iter().flatten().collect()
    }

    /// The fastest instruction set of this machine.
    pub fn fastest() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Scalar(Scalar))
    }

    /// The instruction set of that name, if this machine has it.
    pub fn by_name(name: &str) -> Result<Isa, IsaError> {
        let available = Isa::available();
        if let Some(isa) = available.iter().find(|isa| isa.name() == name) {
            return Ok(*isa);
        }
        match NAMES.into_iter().find(|known| *known == name) {
            None => Err(IsaError::Unknown(name.to_owned())),
            Some(name) => {
                let has: Vec<_> = available.into_iter().map(Isa::name).collect();
                let has = has.join(", ");
                Err(IsaError::Unavailable { name, has })
            }
        }
    }

    /// Its name in the program's option.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => "neon",
        }
    }
}

/// Compiles one kernel body for every instruction set and calls the instance of `isa`.
///
/// `on_isa!(isa, body(args: Types) -> Ret)`: `body` is an `#[inline(always)]` function, generic over what its
/// first argument is, which is the proof of `isa`. The instances are ordinary functions with more target
/// features; the body is the same tokens in each.
macro_rules! on_isa {
    ($isa:expr, $body:ident $args:tt $(-> $ret:ty)?) => {
        match $isa {
            $crate::isa::Isa::Scalar(proof) => {
                $crate::isa::with_proof!(Scalar(proof), $body $args $(-> $ret)?)
            }
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Isa::Avx2(proof) => {
                $crate::isa::with_proof!(Avx2(proof), $body $args $(-> $ret)?)
            }
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Isa::Avx512(proof) => {
                $crate::isa::with_proof!(Avx512(proof), $body $args $(-> $ret)?)
            }
            #[cfg(target_arch = "aarch64")]
            $crate::isa::Isa::Neon(proof) => {
                $crate::isa::with_proof!(Neon(proof), $body $args $(-> $ret)?)
            }
        }
    };
}
pub(crate) use on_isa;

/// Compiles a kernel body for the instructions that `proof` proves, and calls it with `proof` in front of the
/// other arguments.
macro_rules! with_proof {
    (Scalar($proof:expr), $body:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?) => {{
        fn instance(proof: $crate::isa::Scalar, $($arg: $ty),*) $(-> $ret)? {
            $body(proof, $($arg),*)
        }
        instance($proof, $($arg),*)
    }};
    (Avx2 $($rest:tt)*) => {
        $crate::isa::with_proof!(@ "avx2,fma", Avx2 $($rest)*)
    };
    (Avx512 $($rest:tt)*) => {
        $crate::isa::with_proof!(@ "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", Avx512 $($rest)*)
    };
    (Neon $($rest:tt)*) => {
        $crate::isa::with_proof!(@ "neon", Neon $($rest)*)
    };
    (AvxVnni $($rest:tt)*) => {
        $crate::isa::with_proof!(@ "avx2,fma,avxvnni", AvxVnni $($rest)*)
    };
    (Avx512Vnni $($rest:tt)*) => {
        $crate::isa::with_proof!(
            @ "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni", Avx512Vnni $($rest)*
        )
    };
    (Avx512Bf16 $($rest:tt)*) => {
        $crate::isa::with_proof!(
            @ "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16", Avx512Bf16 $($rest)*
        )
    };
    (@ $features:tt, $token:ident($proof:expr), $body:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)?) => {{
        #[target_feature(enable = $features)]
        fn instance(proof: $crate::isa::$token, $($arg: $ty),*) $(-> $ret)? {
            $body(proof, $($arg),*)
        }
        let proof: $crate::isa::$token = $proof;
        // SAFETY: there is a value of this type only where `isa.rs` found these features.
        unsafe { instance(proof, $($arg),*) }
    }};
}
pub(crate) use with_proof;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_the_same_instruction_set() {
        for isa in Isa::available() {
            assert_eq!(Isa::by_name(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = Isa::by_name("sse9").unwrap_err().to_string();
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
        let error = Isa::by_name(other).unwrap_err().to_string();
        assert!(
            error.contains(other) && error.contains("it has scalar"),
            "{error}"
        );
    }

    #[test]
    fn a_proof_takes_no_room() {
        assert_eq!(size_of::<Isa>(), 1);
    }
}
