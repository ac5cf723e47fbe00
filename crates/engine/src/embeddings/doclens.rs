//! How many embeddings each passage has, and what the passages are called.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use concord_tensor::{DType, open_tensors, read_regular};

use super::error::EmbeddingsError;

/// The numbers in a file, none of which is negative, for `rows` embeddings in all.
pub(super) fn read(path: &Path, rows: usize) -> Result<Vec<u32>, EmbeddingsError> {
    let values = numbers(path)?;
    let mut doclens = Vec::with_capacity(values.len());
    let mut sum = 0u64;
    for (passage, &value) in values.iter().enumerate() {
        let doclen = u32::try_from(value).map_err(|_| EmbeddingsError::Doclen {
            path: path.to_owned(),
            passage,
            value,
        })?;
        sum += u64::from(doclen);
        doclens.push(doclen);
    }
    if sum != rows as u64 {
        return Err(EmbeddingsError::Sum {
            path: path.to_owned(),
            passages: doclens.len(),
            sum,
            rows,
        });
    }
    Ok(doclens)
}

fn numbers(path: &Path) -> Result<Vec<i64>, EmbeddingsError> {
    let none = |detail: String| EmbeddingsError::Doclens {
        path: path.to_owned(),
        detail,
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => {
            serde_json::from_str(&text(path)?).map_err(|error| none(format!(": {error}")))
        }
        Some("txt") => {
            let text = text(path)?;
            let lines = text.lines().enumerate();
            let number = |(line, text): (usize, &str)| {
                let parsed = text.trim().parse();
                parsed.map_err(|_| none(format!(": line {} is {:?}", line + 1, cut(text))))
            };
            lines.map(number).collect()
        }
        _ => {
            let tensors = open_tensors(path)?;
            let [(_, source)] = &tensors[..] else {
                return Err(none(format!(", but {} tensors", tensors.len())));
            };
            let whole = matches!(
                source.dtype(),
                DType::U8 | DType::I8 | DType::I16 | DType::I32 | DType::I64
            );
            if source.shape().len() != 1 || !whole {
                let (dtype, shape) = (source.dtype(), source.shape());
                return Err(none(format!(", but {dtype} of the shape {shape:?}")));
            }
            let numbers = source.read()?.cast(DType::I64);
            let numbers = numbers.and_then(|numbers| Ok(numbers.as_slice::<i64>()?.to_vec()));
            numbers.map_err(|error| none(format!(": {error}")))
        }
    }
}

/// The ids in a file, one a line, for so many passages.
pub(super) fn ids(path: &Path, passages: usize) -> Result<Vec<String>, EmbeddingsError> {
    let text = text(path)?;
    let ids: Vec<&str> = text.lines().collect();
    if ids.len() != passages {
        return Err(EmbeddingsError::IdCount {
            path: path.to_owned(),
            ids: ids.len(),
            passages,
        });
    }
    let mut lines = HashMap::with_capacity(ids.len());
    for (line, id) in ids.iter().enumerate() {
        if id.trim().is_empty() {
            let (path, line) = (path.to_owned(), line + 1);
            return Err(EmbeddingsError::EmptyId { path, line });
        }
        if let Some(first) = lines.insert(*id, line + 1) {
            return Err(EmbeddingsError::RepeatedId {
                path: path.to_owned(),
                id: cut(id).to_owned(),
                first,
                second: line + 1,
            });
        }
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}

fn text(path: &Path) -> Result<String, EmbeddingsError> {
    let unreadable = |source| EmbeddingsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = read_regular(path, fs::metadata(path).map_err(unreadable)?.len());
    String::from_utf8(bytes.map_err(unreadable)?)
        .map_err(|error| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}

/// As much of a line as a message quotes.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(60) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}
