//! What verifying an index found.

use concord_index::verify::Finding;

use crate::figures::{count, several};
use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// The findings as a table, and a line that says how many there are; that line alone if there are none.
pub fn findings_table(findings: &[Finding], style: &Style) -> String {
    if findings.is_empty() {
        let line = "every file is as it was written";
        return format!("{}\n", style.paint(Tone::Good, line));
    }
    let mut table = Table::new([
        Column::left("file"),
        Column::left("problem"),
        Column::left("detail").giving_way(),
    ]);
    for finding in findings {
        let (file, problem, detail) = match finding {
            Finding::Missing { file } => (file, "missing", String::new()),
            Finding::Size {
                file,
                expected,
                found,
            } => {
                let (found, expected) = (count(*found), count(*expected));
                (
                    file,
                    "wrong size",
                    format!("{found} bytes instead of {expected}"),
                )
            }
            Finding::Altered { file } => (file, "altered", "same size, other bytes".to_owned()),
            Finding::Unreadable { file, error } => (file, "unreadable", error.clone()),
            Finding::Unknown { file } => {
                let detail = "concord.json does not know it".to_owned();
                (file, "unknown", detail)
            }
            Finding::NotFinite {
                file,
                tensor,
                value,
                at,
            } => {
                let detail = format!("`{tensor}` is {value} at {at:?}, as it was written");
                (file, "not finite", detail)
            }
        };
        table.row([
            file.clone().into(),
            Cell::toned(Tone::Bad, problem),
            detail.into(),
        ]);
    }
    let verb = if findings.len() == 1 { "is" } else { "are" };
    let written = |finding: &Finding| matches!(finding, Finding::NotFinite { .. });
    let what = match findings.iter().all(written) {
        true => "to be searched with",
        false => "as written",
    };
    let line = format!("{} {verb} not {what}", several(findings.len(), "file"));
    format!(
        "{}\n{}\n",
        table.render(style),
        style.paint(Tone::Bad, &line)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_names_its_file_and_problem() {
        let findings = [
            Finding::Missing {
                file: "ivf.pid.pt".to_owned(),
            },
            Finding::Size {
                file: "0.codes.pt".to_owned(),
                expected: 1024,
                found: 12,
            },
        ];
        let text = findings_table(&findings, &Style::default());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "ivf.pid.pt  missing");
        assert_eq!(
            lines[2],
            "0.codes.pt  wrong size  12 bytes instead of 1,024"
        );
        assert_eq!(lines[4], "2 files are not as written");
    }

    #[test]
    fn nothing_found_is_one_sentence() {
        let text = findings_table(&[], &Style::default());
        assert_eq!(text, "every file is as it was written\n");
    }
}
