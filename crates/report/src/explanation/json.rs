//! An explanation for programs.

use concord_lab::explain::Explanation;
use serde::Serialize;

use super::lines::cause_lines;
use super::sentence::sentence;

/// An explanation with the texts that people get of it.
#[derive(Serialize)]
struct WithTexts<'a> {
    /// The answer in one sentence.
    sentence: String,
    /// The lines that follow it.
    lines: Vec<String>,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

/// All that was measured, with the sentence and its lines as they are printed.
pub fn explanation_json(explanation: &Explanation) -> impl Serialize + '_ {
    WithTexts {
        sentence: sentence(explanation),
        lines: cause_lines(explanation),
        explanation,
    }
}
