//! Values in short, for people.

use concord_tensor::pt::{Id, Node, PtDocument};

/// The most characters of a text or bytes of bytes that are shown.
const MAX_SHOWN: usize = 60;

/// A value as Python writes it, where it is short, or else what it is.
pub(super) fn repr(document: &PtDocument, id: Id) -> String {
    match document.node(id) {
        Node::None => "None".to_owned(),
        Node::Bool(true) => "True".to_owned(),
        Node::Bool(false) => "False".to_owned(),
        Node::Int(number) => number.to_string(),
        Node::Long(bytes) => format!("an integer of {} bytes", bytes.len()),
        Node::Float(number) => float(number),
        Node::Str(text) => quoted(text, 0),
        Node::Bytes { bytes, mutable } => {
            let text = escaped(&bytes[..bytes.len().min(MAX_SHOWN)]);
            let rest = if bytes.len() > MAX_SHOWN { "…" } else { "" };
            let bytes = format!("b'{text}{rest}'");
            if mutable {
                format!("bytearray({bytes})")
            } else {
                bytes
            }
        }
        Node::Tuple(items) => {
            short_tuple(document, items).unwrap_or_else(|| format!("a tuple of {}", items.len()))
        }
        Node::Size(items) => match short_tuple(document, items) {
            Some(sizes) => format!("torch.Size({sizes})"),
            None => format!("a torch.Size of {}", items.len()),
        },
        Node::List(items) => format!("a list of {}", items.len()),
        Node::Dict(dict) if dict.ordered => format!("an OrderedDict of {}", dict.items.len()),
        Node::Dict(dict) => format!("a dict of {}", dict.items.len()),
        Node::Set {
            items,
            frozen: true,
        } => format!("a frozenset of {}", items.len()),
        Node::Set { items, .. } => format!("a set of {}", items.len()),
        Node::Global { .. } => document.class_name(id),
        Node::Tensor => "a tensor".to_owned(),
        Node::Storage => "a storage".to_owned(),
        Node::Object(_) => format!("an object of {}", document.class_name(id)),
    }
}

/// A tuple of few numbers, as Python writes it.
fn short_tuple(document: &PtDocument, items: &[Id]) -> Option<String> {
    let number = |&item: &Id| match document.node(item) {
        Node::Int(number) => Some(number.to_string()),
        _ => None,
    };
    let numbers: Option<Vec<String>> = items.iter().take(9).map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() == items.len())?;
    let comma = if numbers.len() == 1 { "," } else { "" };
    Some(format!("({}{comma})", numbers.join(", ")))
}

/// Two values that differ, each in short, so that the difference shows.
pub(super) fn both(
    (document_a, a): (&PtDocument, Id),
    (document_b, b): (&PtDocument, Id),
) -> (String, String) {
    match (document_a.node(a), document_b.node(b)) {
        (Node::Str(a), Node::Str(b)) => {
            let alike = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
            (quoted(a, alike), quoted(b, alike))
        }
        (Node::Float(a), Node::Float(b)) if float(a) == float(b) => {
            let bits = |number: f64| format!("{} (bits {:#018x})", float(number), number.to_bits());
            (bits(a), bits(b))
        }
        _ => (repr(document_a, a), repr(document_b, b)),
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else {
        format!("{number:?}")
    }
}

/// A text in quotes, so that the character at `from` is among what is shown.
fn quoted(text: &str, from: usize) -> String {
    let skipped = if from + 10 < MAX_SHOWN {
        0
    } else {
        from - MAX_SHOWN / 2
    };
    let shown: String = text.chars().skip(skipped).take(MAX_SHOWN).collect();
    let before = if skipped > 0 { "…" } else { "" };
    let is_cut = text.chars().nth(skipped + MAX_SHOWN).is_some();
    let behind = if is_cut { "…" } else { "" };
    let escaped: String = shown
        .chars()
        .flat_map(|c| match c {
            '\'' => vec!['\\', '\''],
            '"' => vec!['"'],
            c if c.is_control() || c == '\\' => c.escape_default().collect(),
            c => vec![c],
        })
        .collect();
    format!("'{before}{escaped}{behind}'")
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
