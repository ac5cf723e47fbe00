//! How a long-lived process is asked for one measurement after another.
//!
//! A request is a line of standard input: a word, and perhaps something behind a space. The answer is a
//! line of JSON. The first line, before any request, says what is measured here, or why nothing can be.
//! Whoever asks decides who computes when; between requests nothing does.

use std::io::{BufRead, Write};
use std::time::Instant;

use serde_json::{Value, json};

/// Calls of which the median is the time of a short piece of work.
const SHORT_CALLS: usize = 31;

/// Says that `name` is ready, and answers requests until there are none.
///
/// # Errors
/// When standard output is gone.
pub fn serve(
    name: &str,
    mut answer: impl FnMut(&str, &str) -> Result<Value, String>,
) -> std::io::Result<()> {
    say(&json!({ "ready": name }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let said = match answer(word, rest) {
            Ok(value) => json!({ "answer": value }),
            Err(reason) => json!({ "error": reason }),
        };
        say(&said)?;
    }
    Ok(())
}

/// Says why there is nothing to measure.
///
/// # Errors
/// When standard output is gone.
pub fn refuse(reason: &str) -> std::io::Result<()> {
    say(&json!({ "not there": reason }))
}

/// The answer to a request that does not exist.
pub fn unknown<T>(request: &str) -> Result<T, String> {
    Err(format!("unknown request `{request}`"))
}

/// The seconds that a call takes.
///
/// # Errors
/// The call's.
pub fn seconds<T>(call: impl FnOnce() -> Result<T, String>) -> Result<f64, String> {
    let started = Instant::now();
    let result = call()?;
    let seconds = started.elapsed().as_secs_f64();
    std::hint::black_box(result);
    Ok(seconds)
}

/// The median of the seconds that a short call takes.
///
/// # Errors
/// The call's.
pub fn seconds_of_short<T>(mut call: impl FnMut() -> Result<T, String>) -> Result<f64, String> {
    let times = (0..SHORT_CALLS).map(|_| seconds(&mut call));
    let mut times = times.collect::<Result<Vec<f64>, String>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[SHORT_CALLS / 2])
}

fn say(line: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
