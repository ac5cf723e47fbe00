//! Progress: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use concord_pipeline::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::tell;

/// How often a plain line is printed for one stage.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// The stages that are done in no time beside those that are shown.
const HIDDEN: [&str; 5] = [
    "tokenize",
    "gather",
    "swap doclens",
    "swap embs",
    "swap codes",
];

/// Shows how far each stage is, on standard error.
pub struct Shown {
    bars: Option<MultiProgress>,
    stages: Mutex<HashMap<String, Stage>>,
}

struct Stage {
    bar: Option<ProgressBar>,
    begun: Instant,
    first: u64,
    told: Instant,
}

impl Shown {
    /// Bars if standard error is a terminal, lines if not.
    pub fn new() -> Shown {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        Shown {
            bars,
            stages: Mutex::default(),
        }
    }
}

impl Progress for Shown {
    fn advanced(&self, stage: &str, done: u64, total: u64, unit: &str) {
        if HIDDEN.contains(&stage) {
            return;
        }
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = stages.entry(stage.to_owned()).or_insert_with(|| {
            let bar = self
                .bars
                .as_ref()
                .map(|bars| bars.add(bar(stage, total, unit)));
            Stage {
                bar,
                begun: Instant::now(),
                first: done,
                told: Instant::now(),
            }
        });
        match &entry.bar {
            Some(bar) if done >= total => bar.finish(),
            Some(bar) => bar.set_position(done),
            None if done >= total || entry.told.elapsed() >= BETWEEN_LINES => {
                entry.told = Instant::now();
                let elapsed = entry.begun.elapsed().as_secs_f64();
                let rate = (done - entry.first.min(done)) as f64 / elapsed.max(1e-3);
                let pace = match total.saturating_sub(done) {
                    _ if rate == 0.0 => String::new(),
                    0 => format!(", {rate:.1}/s"),
                    left => format!(", {rate:.1}/s, {:.0} s left", left as f64 / rate),
                };
                tell(format_args!("{stage}: {done} of {total} {unit}{pace}"));
            }
            None => {}
        }
    }

    fn reused(&self, _: &str, _: usize) {}

    fn computed(&self, _: &str, _: usize) {}
}

fn bar(stage: &str, total: u64, unit: &str) -> ProgressBar {
    let template = "{prefix:>10} {bar:30} {pos}/{len} {msg}  {per_sec}  {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style)
        .with_prefix(stage.to_owned())
        .with_message(unit.to_owned())
}
