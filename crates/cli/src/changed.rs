//! What a change of an index came to, for people and for programs.

use std::path::Path;

use concord_engine::change::ChangeReport;
use serde_json::json;

use crate::output::{Failure, print, print_json, warn};

/// What an index was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeFrom {
    Texts,
    Embeddings,
}

impl MadeFrom {
    /// The command that trains the codec of the index at `out` anew.
    fn retraining(self, out: &Path) -> String {
        let out = out.display();
        match self {
            MadeFrom::Texts => format!("concord compact {out} --retrain --collection FILE..."),
            MadeFrom::Embeddings => format!("concord compact {out} --retrain --embeddings FILE..."),
        }
    }
}

/// Prints what a change came to.
pub fn print_change(out: &Path, report: &ChangeReport, as_json: bool) -> Result<(), Failure> {
    print_addition(out, report, MadeFrom::Texts, as_json)
}

/// [`print_change`], and where the codec no longer fits what was added, how it is trained anew.
pub fn print_addition(
    path: &Path,
    report: &ChangeReport,
    made_from: MadeFrom,
    as_json: bool,
) -> Result<(), Failure> {
    let out = path;
    warn(&report.notices);
    if as_json {
        return print_json(&json!({ "out": out, "change": report }));
    }
    let counted = [
        (report.added, "added"),
        (report.removed, "deleted"),
        (report.dropped, "dropped for good"),
    ];
    let counted = counted.iter().filter(|(passages, _)| *passages > 0);
    let mut done: Vec<String> = counted
        .map(|(passages, what)| format!("{passages} {what}"))
        .collect();
    if report.retrained {
        done.push("codec trained anew".to_owned());
    }
    if done.is_empty() {
        done.push("nothing to drop".to_owned());
    }
    let out = out.display();
    let mut text = format!(
        "{out}: {}; {} passages, {} embeddings, in {:.1} s\n",
        done.join(", "),
        report.passages,
        report.embeddings,
        report.seconds
    );
    if report.deleted > 0 {
        let (deleted, their) = (
            report.deleted,
            if report.deleted == 1 {
                "its number"
            } else {
                "their numbers"
            },
        );
        text.push_str(&format!(
            "{deleted} deleted before or now keep {their} until `concord compact {out}`\n"
        ));
    }
    if let Some(drift) = &report.drift {
        text.push_str(&format!(
            "residuals of what was added: norm {:.4}, {:.2} times that of the sample that the codec was trained on \
             ({:.4})\n",
            drift.added, drift.ratio, drift.sample
        ));
        if drift.retrain {
            text.push_str(&format!(
                "that is {:.2} times or more, so the codec no longer fits: `{}`, with the files of all passages, trains \
                 it anew\n",
                drift.threshold,
                made_from.retraining(path)
            ));
        }
    }
    print(&text)
}
