//! How a text may look.

/// What the terminal that a text is for can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub colour: bool,
    /// Columns of the terminal; `None` to cut nothing, as for a file or a pipe.
    pub width: Option<usize>,
}

/// The meaning that a colour repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    /// Open, or a warning.
    Open,
    Faint,
    Strong,
}

impl Style {
    /// `text` in the colour of `tone`, if there are colours.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        // Select Graphic Rendition, ECMA-48 §8.3.117: the eight colours every theme defines.
        let code = match tone {
            Tone::Plain => None,
            Tone::Good => Some("32"),
            Tone::Bad => Some("31"),
            Tone::Open => Some("33"),
            Tone::Faint => Some("2"),
            Tone::Strong => Some("1"),
        };
        match code.filter(|_| self.colour && !text.is_empty()) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.to_owned(),
        }
    }
}
