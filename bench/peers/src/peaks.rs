//! How many operations a second the cores can do at most, by instruction: what an encoder's speed is a
//! share of.
//!
//! Each peak is that of one instruction on independent registers, so many of them that its latency is
//! hidden, with nothing to load or store. A matrix product cannot be faster; how close it comes is how
//! well it feeds the cores.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The shortest time worth measuring.
const LONG_ENOUGH: Duration = Duration::from_millis(60);

/// Runs of which the fastest counts: a peak is a maximum, and an interruption only takes away from it.
const ATTEMPTS: usize = 3;

/// An instruction that matrix products are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peak {
    /// Fused multiply-adds of `f32`, in the widest registers there are.
    Fma,
    /// Products of pairs of `bf16`, added up in `f32` (`vdpbf16ps`).
    Bf16,
    /// Products of four bytes, added up in `i32` (`vpdpbusd`).
    Vnni,
}

/// A loop of one instruction: `run(steps)`, and the operations of a step. A multiplication and an addition
/// are two.
#[derive(Clone, Copy)]
struct Loop {
    run: fn(u64),
    operations: u64,
}

impl Peak {
    /// Operations per second of that many threads together, in units of 10⁹.
    ///
    /// # Errors
    /// What the machine lacks.
    pub fn measure(self, threads: usize) -> Result<f64, String> {
        let of_peak = arch::instruction_loop(self)?;
        let mut steps = 1 << 12;
        while seconds(of_peak, steps, threads) < LONG_ENOUGH.as_secs_f64() {
            steps *= 2;
        }
        let attempts = (0..ATTEMPTS).map(|_| seconds(of_peak, steps, threads));
        let fastest = attempts.fold(f64::INFINITY, f64::min);
        let operations = of_peak.operations * steps * threads as u64;
        Ok(operations as f64 / fastest / 1e9)
    }
}

/// The seconds from when the first thread starts until all have taken their steps.
fn seconds(of_peak: Loop, steps: u64, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let run = || {
            barrier.wait();
            let started = Instant::now();
            (of_peak.run)(steps);
            (started, Instant::now())
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .expect("a loop of one instruction does not panic")
        };
        running.into_iter().map(join).collect()
    });
    let first = times.iter().map(|(started, _)| *started).min();
    let last = times.iter().map(|(_, ended)| *ended).max();
    match (first, last) {
        (Some(first), Some(last)) => (last - first).as_secs_f64(),
        _ => f64::INFINITY,
    }
}

/// Defines `fn NAME(steps)`: in every step, one instruction on each of so many registers.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! instruction_loop {
    ($name:ident, $features:literal, $chains:literal, $zero:expr, $a:expr, $b:expr, $step:expr) => {
        fn $name(steps: u64) {
            #[target_feature(enable = $features)]
            fn run(steps: u64) {
                use std::hint::black_box;
                let (a, b) = (black_box($a), black_box($b));
                // Opaque to the compiler, lest it finds that all registers hold the same.
                let mut sums: [_; $chains] = std::array::from_fn(|_| black_box($zero));
                for _ in 0..steps {
                    for sum in &mut sums {
                        *sum = $step(*sum, a, b);
                    }
                }
                black_box(sums);
            }
            // SAFETY: the loop is handed out only where the machine has these features.
            unsafe { run(steps) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::x86_64::*;

    use super::{Loop, Peak};

    // An instruction of four to six cycles that starts twice a cycle at most: 12 registers hide it. The
    // sets with 32 registers can spare 24.
    instruction_loop!(
        fma_avx512,
        "avx512f",
        24,
        _mm512_setzero_ps(),
        _mm512_set1_ps(0.5),
        _mm512_set1_ps(0.25),
        |sum, a, b| _mm512_fmadd_ps(a, b, sum)
    );
    instruction_loop!(
        fma_avx2,
        "avx2,fma",
        12,
        _mm256_setzero_ps(),
        _mm256_set1_ps(0.5),
        _mm256_set1_ps(0.25),
        |sum, a, b| _mm256_fmadd_ps(a, b, sum)
    );
    instruction_loop!(
        bf16_avx512,
        "avx512f,avx512bf16",
        24,
        _mm512_setzero_ps(),
        _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5), _mm512_set1_ps(0.5)),
        _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.25), _mm512_set1_ps(0.25)),
        |sum, a, b| _mm512_dpbf16_ps(sum, a, b)
    );
    instruction_loop!(
        vnni_avx512,
        "avx512f,avx512vnni",
        24,
        _mm512_setzero_si512(),
        _mm512_set1_epi8(1),
        _mm512_set1_epi8(1),
        |sum, a, b| _mm512_dpbusd_epi32(sum, a, b)
    );
    instruction_loop!(
        vnni_avx,
        "avx2,avxvnni",
        12,
        _mm256_setzero_si256(),
        _mm256_set1_epi8(1),
        _mm256_set1_epi8(1),
        |sum, a, b| _mm256_dpbusd_avx_epi32(sum, a, b)
    );

    /// The loop of an instruction, on the widest registers that this machine has it for.
    pub(super) fn instruction_loop(peak: Peak) -> Result<Loop, String> {
        // Lanes of a register, products in a lane, and each product is also added.
        let of = |run, chains: u64, lanes: u64, products: u64| {
            let operations = chains * lanes * products * 2;
            Ok(Loop { run, operations })
        };
        let lacks = |what: &str| Err(format!("this processor has no {what}"));
        match peak {
            Peak::Fma if is_x86_feature_detected!("avx512f") => of(fma_avx512, 24, 16, 1),
            Peak::Fma if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
                of(fma_avx2, 12, 8, 1)
            }
            Peak::Fma => lacks("FMA with AVX2 or AVX-512"),
            Peak::Bf16 if is_x86_feature_detected!("avx512bf16") => of(bf16_avx512, 24, 16, 2),
            Peak::Bf16 => lacks("AVX512-BF16"),
            Peak::Vnni if is_x86_feature_detected!("avx512vnni") => of(vnni_avx512, 24, 16, 4),
            Peak::Vnni if is_x86_feature_detected!("avxvnni") => of(vnni_avx, 12, 8, 4),
            Peak::Vnni => lacks("AVX512-VNNI or AVX-VNNI"),
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use std::arch::aarch64::*;

    use super::{Loop, Peak};

    instruction_loop!(
        fma_neon,
        "neon",
        24,
        vdupq_n_f32(0.0),
        vdupq_n_f32(0.5),
        vdupq_n_f32(0.25),
        |sum, a, b| vfmaq_f32(sum, a, b)
    );

    /// The loop of an instruction.
    pub(super) fn instruction_loop(peak: Peak) -> Result<Loop, String> {
        match peak {
            Peak::Fma => Ok(Loop {
                run: fma_neon,
                operations: 24 * 4 * 2,
            }),
            Peak::Bf16 => Err("vdpbf16ps is an instruction of x86-64".to_owned()),
            Peak::Vnni => Err("vpdpbusd is an instruction of x86-64".to_owned()),
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    use super::{Loop, Peak};

    /// No loop is written for this architecture.
    pub(super) fn instruction_loop(_peak: Peak) -> Result<Loop, String> {
        Err("there is no loop for this architecture".to_owned())
    }
}
