//! Remarks about lines that were read, but not quite as one might expect.

/// Gathers remarks line by line: however many lines a remark is true of, it makes one notice.
#[derive(Default)]
pub(crate) struct Remarks {
    kinds: Vec<Remark>,
}

struct Remark {
    text: &'static str,
    first_line: u64,
    lines: u64,
}

impl Remarks {
    /// Notes that `text` is true of `line`.
    pub(crate) fn note(&mut self, text: &'static str, line: u64) {
        match self.kinds.iter_mut().find(|kind| kind.text == text) {
            Some(kind) => kind.lines += 1,
            None => self.kinds.push(Remark {
                text,
                first_line: line,
                lines: 1,
            }),
        }
    }

    /// One notice for each kind, naming the first line and how many there were.
    pub(crate) fn into_notices(self, file: &str) -> Vec<String> {
        let notice = |kind: Remark| {
            let Remark {
                text, first_line, ..
            } = kind;
            match kind.lines {
                1 => format!("{file}:{first_line}: {text}"),
                lines => format!("{file}:{first_line}: {text} (so on {lines} lines)"),
            }
        };
        self.kinds.into_iter().map(notice).collect()
    }
}
