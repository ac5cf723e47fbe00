//! What clustering and compressing cost: seeded rows of unit length in clusters of very different sizes, k-means over
//! them, compression with its centroids. What the contract's products alone make of the same is computed beside it,
//! and has to be the same.
//!
//! ```sh
//! cargo run --release -p concord-index --example cluster_cost -- ROWS WIDTH CENTROIDS ITERATIONS THREADS WHAT
//! ```
//!
//! `WHAT` is `screened`, `plain`, or `both`. Seconds are of the wall and of the processors, where the system counts
//! them.

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::time::Instant;

use concord_index::cluster::{KMeans, assign, kmeans};
use concord_index::codec::{Nearest, ResidualCodec};
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_kernels::linear::PackedWeights;
use concord_kernels::nearest::{nearest_by_dot, nearest_by_l2, squared_norms};
use concord_kernels::normalize::{Normalize, normalize};
use half::f16;
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (count, width) = (number(0, 546_000)?, number(1, 128)?);
    let (centroids, iterations) = (number(2, 8192)?, number(3, 4)?);
    let threads = NonZeroUsize::new(number(4, 0)?);
    let what = arguments.get(5).map_or("both", String::as_str);
    let compute = Compute::new(&ComputeOptions::default().with_threads(threads))?;
    println!(
        "{count} rows of {width}, {centroids} centroids, {iterations} iterations, {compute:?}"
    );
    compute.clone().install(|| {
        let rows = clustered(&compute, count, width, centroids);
        let wanted = KMeans {
            centroids,
            iterations,
        };
        let trained = timed("k-means", || {
            kmeans(&compute, &rows, width, wanted, &|_| ())
        })?;
        let (work, trained) = (trained.work, trained.centroids);
        let per_row = |count: u64| count as f64 / work.rows.max(1) as f64;
        println!(
            "  {:.2} candidates a row, {:.5} of the rows decided by the contract's products",
            per_row(work.left),
            per_row(work.decided)
        );
        if what != "screened" {
            let assigned = timed("one assignment, all products", || {
                let packed = PackedWeights::pack(&trained, centroids, width);
                let norms = squared_norms(&compute, &trained, width);
                let tasks = rows.par_chunks(2048 * width);
                let nearest =
                    tasks.flat_map_iter(|rows| nearest_by_l2(&compute, rows, &packed, &norms));
                nearest.map(|(centroid, _)| centroid).collect::<Vec<u32>>()
            });
            let screened = timed("one assignment, screened", || {
                assign(&compute, &rows, width, &trained)
            })?;
            println!("  {}", verdict(assigned == screened));
        }
        let mut unit = trained;
        normalize(&compute, Normalize::Divide, &mut unit, width);
        let codec = ResidualCodec::new(unit.clone(), width, 4)?;
        let cutoffs: Vec<f32> = (1..16).map(|i| (i as f32 - 8.0) * 0.01).collect();
        let compressed = timed("compress", || {
            codec.compress(&compute, Nearest::default(), &rows, &cutoffs)
        })?;
        let per_row = |count: u64| count as f64 / compressed.work.rows.max(1) as f64;
        println!(
            "  {:.2} candidates a row, {:.5} of the rows decided by the contract's products",
            per_row(compressed.work.left),
            per_row(compressed.work.decided)
        );
        if what != "screened" {
            for value in &mut unit {
                *value = f16::from_f32(*value).to_f32();
            }
            let codes = timed("codes, all products", || {
                let packed = PackedWeights::pack(&unit, centroids, width);
                let tasks = rows.par_chunks(1024 * width);
                let codes = tasks.flat_map_iter(|rows| nearest_by_dot(&compute, rows, &packed));
                codes.map(|code| code as i32).collect::<Vec<i32>>()
            });
            println!("  {}", verdict(codes == compressed.codes));
        }
        Ok(())
    })
}

fn verdict(same: bool) -> &'static str {
    if same { "the same" } else { "DIFFERENT" }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (wall, processors) = (Instant::now(), processor_seconds());
    let made = work();
    let wall = wall.elapsed().as_secs_f64();
    match (processors, processor_seconds()) {
        (Some(before), Some(after)) => {
            println!("{what}: {wall:.2} s, {:.2} s of processors", after - before)
        }
        _ => println!("{what}: {wall:.2} s"),
    }
    made
}

/// What this process has taken of the processors so far, in user mode and the system's, where the system tells.
fn processor_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Rows around `clusters` centers, the `n`th of which has a share like `1 / (n + 10)`, rounded to `f16` as embeddings
/// are.
fn clustered(compute: &Compute, count: usize, width: usize, clusters: usize) -> Vec<f32> {
    let mut random = Random(0x5EED);
    let common: Vec<f32> = (0..width).map(|_| random.normal()).collect();
    let mut centers = vec![0.0; clusters * width];
    for center in centers.chunks_exact_mut(width) {
        for (value, common) in center.iter_mut().zip(&common) {
            *value = random.normal() + 0.4 * common;
        }
    }
    normalize(compute, Normalize::Divide, &mut centers, width);
    let total = ((clusters as f64 + 10.0) / 10.0).ln();
    let noise = 0.75 / (width as f32).sqrt();
    let mut rows = vec![0.0; count * width];
    for row in rows.chunks_exact_mut(width) {
        let place = 10.0 * ((random.unit() * total).exp() - 1.0);
        let center = &centers[(place as usize).min(clusters - 1) * width..][..width];
        for (value, center) in row.iter_mut().zip(center) {
            *value = center + noise * random.normal();
        }
    }
    normalize(compute, Normalize::Divide, &mut rows, width);
    for value in &mut rows {
        *value = f16::from_f32(*value).to_f32();
    }
    rows
}

/// A linear congruential generator (Knuth's MMIX), of which the high bits are used.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The sum of four, scaled to a variance of one: near enough to normal.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        ((sum - 2.0) * 3f64.sqrt()) as f32
    }
}
