//! Progress: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use concord_pipeline::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::{status, warn};

/// How often a plain line is printed for one stage.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// The stages that are done in no time beside those that are shown.
const HIDDEN: [&str; 2] = ["tokenize", "gather"];

/// How the names of the stages begin that only hand an artifact on.
const SWAP: &str = "swap ";

/// Shows how far each stage is, on standard error.
pub struct TerminalProgress {
    bars: Option<MultiProgress>,
    stages: Mutex<HashMap<String, Stage>>,
}

struct Stage {
    bar: Option<ProgressBar>,
    begun: Instant,
    first: u64,
    furthest: Option<u64>,
    told: Instant,
}

impl Stage {
    /// How fast it goes and how long it will take, once there is something to tell it from.
    fn pace(&self, done: u64, total: u64) -> String {
        let rate = done.saturating_sub(self.first) as f64 / self.begun.elapsed().as_secs_f64();
        if !rate.is_normal() {
            return String::new();
        }
        let decimals = usize::from(rate < 10.0);
        match total.saturating_sub(done) {
            0 => format!(", {rate:.decimals$}/s"),
            left => format!(", {rate:.decimals$}/s, {:.0} s left", left as f64 / rate),
        }
    }
}

impl TerminalProgress {
    /// Bars if standard error is a terminal, lines if not.
    pub fn new() -> TerminalProgress {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        TerminalProgress {
            bars,
            stages: Mutex::default(),
        }
    }
}

impl Progress for TerminalProgress {
    fn advanced(&self, stage: &str, done: u64, total: u64, unit: &str) {
        if HIDDEN.contains(&stage) || stage.starts_with(SWAP) {
            return;
        }
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = stages.entry(stage.to_owned()).or_insert_with(|| {
            let bar = self.bars.as_ref().map(|bars| bars.add(bar(stage, total)));
            Stage {
                bar,
                begun: Instant::now(),
                first: done,
                furthest: None,
                told: Instant::now(),
            }
        });
        // Threads overtake each other, and work may be done again for what follows it.
        if entry.furthest.is_some_and(|furthest| done <= furthest) {
            return;
        }
        entry.furthest = Some(done);
        match &entry.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{unit}{}", entry.pace(done, total)));
                if done >= total {
                    bar.abandon();
                }
            }
            None if done >= total || entry.told.elapsed() >= BETWEEN_LINES => {
                entry.told = Instant::now();
                let pace = entry.pace(done, total);
                status(format_args!("{stage}: {done} of {total} {unit}{pace}"));
            }
            None => {}
        }
    }

    fn reused(&self, _: &str, _: usize) {}

    fn computed(&self, _: &str, _: usize) {}

    fn damaged(&self, path: &Path) {
        let path = path.display();
        warn(&[format!(
            "{path} was not as it was stored, and is removed: what it held is computed again"
        )]);
    }
}

fn bar(stage: &str, total: u64) -> ProgressBar {
    let template = "{prefix:>10} {bar:30} {pos}/{len} {msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style)
        .with_prefix(stage.to_owned())
}
