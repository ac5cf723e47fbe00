//! Notices about lines that were read, but not quite as one might expect.

/// Gathers notices line by line, one for each kind however many lines it is true of.
#[derive(Default)]
pub(crate) struct Notices {
    kinds: Vec<Kind>,
}

struct Kind {
    text: &'static str,
    first_line: u64,
    lines: u64,
}

impl Notices {
    /// Notes that `text` is true of `line`.
    pub(crate) fn note(&mut self, text: &'static str, line: u64) {
        match self.kinds.iter_mut().find(|kind| kind.text == text) {
            Some(kind) => kind.lines += 1,
            None => self.kinds.push(Kind {
                text,
                first_line: line,
                lines: 1,
            }),
        }
    }

    /// One notice for each kind, naming the first line and how many there were.
    pub(crate) fn into_texts(self, file: &str) -> Vec<String> {
        let notice = |kind: Kind| {
            let Kind {
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
