//! The way from the top of a file to a value in it.

use concord_tensor::pt::{Id, Node, PtDocument};

use super::text::repr;

/// What leads from a value to one that it holds.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Index(usize),
    Key(&'a PtDocument, Id),
    /// What an object has beside items: `arguments`, `state`, …
    Part(&'static str),
}

/// The way from the top.
#[derive(Clone, Default)]
pub(super) struct Way<'a>(pub(super) Vec<Step<'a>>);

/// The longest text of a way in a report, in characters; what is longer loses its middle.
const MAX_TEXT: usize = 300;

impl Way<'_> {
    /// As Python would write it: `['opt']['lr']`; empty at the top.
    pub(super) fn python(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Index(index) => text.push_str(&format!("[{index}]")),
                Step::Key(document, key) => text.push_str(&format!("[{}]", repr(document, *key))),
                Step::Part(part) => text.push_str(&format!(".{part}")),
            }
        }
        shortened(text)
    }

    /// Keys and positions joined by dots, as tensors are named; empty at the top.
    pub(super) fn dotted(&self) -> String {
        let mut text = String::new();
        for (place, step) in self.0.iter().enumerate() {
            if place > 0 {
                text.push('.');
            }
            match step {
                Step::Index(index) => text.push_str(&index.to_string()),
                Step::Key(document, key) => match document.node(*key) {
                    Node::Str(key) => text.push_str(key),
                    _ => text.push_str(&repr(document, *key)),
                },
                Step::Part(part) => text.push_str(part),
            }
        }
        shortened(text)
    }
}

/// The text, without its middle if it is long.
pub(super) fn shortened(text: String) -> String {
    let len = text.chars().count();
    if len <= MAX_TEXT {
        return text;
    }
    let head: String = text.chars().take(MAX_TEXT / 2).collect();
    let tail: String = text.chars().skip(len - MAX_TEXT / 2).collect();
    format!("{head}…{tail}")
}
