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

/// All that [`Style::paint`] puts around a text. Select Graphic Rendition, ECMA-48 §8.3.117: the eight colours that
/// every theme defines.
pub(crate) const CODES: [&str; 6] = [
    "\u{1b}[32m",
    "\u{1b}[31m",
    "\u{1b}[33m",
    "\u{1b}[2m",
    "\u{1b}[1m",
    RESET,
];

const RESET: &str = "\u{1b}[0m";

impl Style {
    /// `text` in the colour of `tone`, if there are colours.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let [good, bad, open, faint, strong, _] = CODES;
        let code = match tone {
            Tone::Plain => None,
            Tone::Good => Some(good),
            Tone::Bad => Some(bad),
            Tone::Open => Some(open),
            Tone::Faint => Some(faint),
            Tone::Strong => Some(strong),
        };
        match code.filter(|_| self.colour && !text.is_empty()) {
            Some(code) => format!("{code}{text}{RESET}"),
            None => text.to_owned(),
        }
    }
}
