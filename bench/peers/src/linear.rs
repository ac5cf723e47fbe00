//! One linear layer of Concord alone, in the shape of the widest one of a small BERT.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use concord_kernels::bf16::{Bf16Rows, Bf16Weights, linear_bf16};
use concord_kernels::compute::Compute;
use concord_kernels::int8::{Int8Rows, Int8Weights, linear_int8};
use concord_kernels::linear::{PackedWeights, linear};

/// Rows, inputs and outputs: about a hundred passages through the first half of a feed-forward part.
pub const SHAPE: [usize; 3] = [2272, 384, 1536];

/// How long a measurement takes at least.
const LONG_ENOUGH: Duration = Duration::from_millis(150);

/// A linear layer on a thread of its own: one call computes all of `y`.
type Call = Box<dyn FnMut() + Send>;

/// Makes the layer in the precision of that name.
///
/// # Errors
/// When the kernels have no linear layer of that precision.
fn layer(precision: &str) -> Result<Call, String> {
    let [rows, inputs, outputs] = SHAPE;
    let x = numbers(rows * inputs, 1);
    let weights = numbers(outputs * inputs, 2);
    let mut y = vec![0.0; rows * outputs];
    let compute = Compute::fastest();
    match precision {
        "f32" => {
            let weights = PackedWeights::pack(&weights, outputs, inputs);
            Ok(Box::new(move || {
                linear(&compute, &x, &weights, None, &mut y)
            }))
        }
        "bf16" => {
            let weights = Bf16Weights::pack(&weights, outputs, inputs);
            Ok(Box::new(move || {
                let x = Bf16Rows::round(&compute, &x, inputs);
                linear_bf16(&compute, &x, &weights, None, &mut y);
            }))
        }
        "int8" => {
            let weights = Int8Weights::quantise(&weights, outputs, inputs);
            Ok(Box::new(move || {
                let x = Int8Rows::quantise(&compute, &x, inputs);
                linear_int8(&compute, &x, &weights, None, &mut y);
            }))
        }
        other => Err(format!("concord-kernels has no linear layer in {other}")),
    }
}

/// Says whether there is a linear layer of that precision.
///
/// # Errors
/// When there is none.
pub fn check(precision: &str) -> Result<(), String> {
    layer(precision).map(drop)
}

/// Operations per second, in units of 10⁹, of that many threads which each compute a layer of their own,
/// as those of an index build do. A multiplication and an addition are two.
///
/// # Errors
/// When there is no such layer.
pub fn measure(precision: &str, threads: usize) -> Result<f64, String> {
    let layers = (0..threads).map(|_| layer(precision));
    let layers = layers.collect::<Result<Vec<Call>, String>>()?;
    let barrier = Barrier::new(threads);
    let speeds: Vec<f64> = thread::scope(|scope| {
        let run = |mut call: Call| {
            let barrier = &barrier;
            scope.spawn(move || {
                call();
                barrier.wait();
                let started = Instant::now();
                let mut calls = 0u32;
                while started.elapsed() < LONG_ENOUGH {
                    call();
                    calls += 1;
                }
                f64::from(calls) / started.elapsed().as_secs_f64()
            })
        };
        let running: Vec<_> = layers.into_iter().map(run).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, f64>| {
            thread
                .join()
                .expect("a linear layer of matching shapes does not panic")
        };
        running.into_iter().map(join).collect()
    });
    let operations: usize = 2 * SHAPE.iter().product::<usize>();
    Ok(speeds.iter().sum::<f64>() * operations as f64 / 1e9)
}

/// Numbers between −1 and 1, always the same ones for a seed.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        // Knuth's linear congruential generator.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
