//! Tensors `(embeddings, width)` in files, one after another, read in pieces.

use std::cmp::Ordering;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use concord_tensor::{DType, Tensor, TensorSource, open_tensors};

use super::error::{EmbeddingsError, WIDTH_STEP, WIDTHS};

/// Where the embeddings of passages and their ids are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddingFiles {
    /// `.npy`, `.npz`, `.safetensors` or `.pt` files, whose passages follow each other. A file holds one tensor
    /// `(embeddings, width)` that `doclens` cuts into passages, or one `(passages, embeddings, width)`, or several
    /// `(embeddings, width)`, one for each passage, in the order of their names with numbers in them by their value.
    pub embeddings: Vec<PathBuf>,
    /// How many embeddings each passage has: a vector of whole numbers in a file of tensors, a list in a `.json` file, or
    /// one number a line in a `.txt` file.
    pub doclens: Option<PathBuf>,
    /// The id of each passage, one a line. Without it the ids are the numbers of the passages, from 0.
    pub ids: Option<PathBuf>,
}

/// How the rows of a file belong to passages or queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The file is one tensor of rows.
    Rows,
    /// Each has so many rows: one of the first dimension of a tensor, or a tensor.
    Each {
        rows: Vec<usize>,
        part: &'static str,
    },
}

/// The tensors of one file.
pub(super) struct EmbeddingFile {
    pub(super) path: PathBuf,
    /// The tensors in the order in which they are taken, each with the number of its first row.
    parts: Vec<(usize, TensorSource)>,
    /// Their names, where there are several.
    names: Vec<String>,
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) cut: Cut,
    stamp: Option<Stamp>,
}

/// By what a file is known to be the same as before.
type Stamp = (u64, SystemTime);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

impl EmbeddingFile {
    /// Opens a file; nothing but what describes its tensors is read.
    pub(super) fn open(path: &Path) -> Result<EmbeddingFile, EmbeddingsError> {
        let stamp = stamp(path);
        let mut parts = open_tensors(path)?;
        let path = path.to_owned();
        let several = parts.len() > 1;
        if several {
            parts.sort_by(|(a, _), (b, _)| natural(a, b));
        }
        let (mut width, mut total, mut each) = (None, 0usize, Vec::new());
        let mut part = "tensor";
        let mut firsts = Vec::with_capacity(parts.len());
        for (name, source) in &parts {
            let named = || match name.as_str() {
                "" => String::new(),
                name => format!(" {name:?}"),
            };
            let (rows, of_part) = match *source.shape() {
                [rows, of_part] => (rows, of_part),
                [passages, rows, of_part] if !several => {
                    each = vec![rows; passages];
                    part = "entry of its first dimension";
                    (passages * rows, of_part)
                }
                _ => {
                    return Err(EmbeddingsError::Shape {
                        path,
                        name: named(),
                        shape: source.shape().to_vec(),
                    });
                }
            };
            if !matches!(
                source.dtype(),
                DType::F16 | DType::BF16 | DType::F32 | DType::F64
            ) {
                let (name, dtype) = (named(), source.dtype());
                return Err(EmbeddingsError::Type { path, name, dtype });
            }
            let expected = *width.get_or_insert(of_part);
            if of_part != expected {
                return Err(EmbeddingsError::Width {
                    path,
                    name: named(),
                    found: of_part,
                    expected,
                });
            }
            if several {
                each.push(rows);
            }
            firsts.push(total);
            total += rows;
        }
        let width = width.ok_or_else(|| EmbeddingsError::NoTensor(path.clone()))?;
        if !WIDTHS.contains(&width) || !width.is_multiple_of(WIDTH_STEP) {
            return Err(EmbeddingsError::UnusableWidth { path, width });
        }
        let (names, sources): (Vec<String>, Vec<TensorSource>) = parts.into_iter().unzip();
        let names = if several { names } else { Vec::new() };
        let cut = match several || part != "tensor" {
            true => Cut::Each { rows: each, part },
            false => Cut::Rows,
        };
        Ok(EmbeddingFile {
            path,
            names,
            parts: firsts.into_iter().zip(sources).collect(),
            width,
            rows: total,
            cut,
            stamp,
        })
    }

    /// The name of a tensor, where there are several.
    pub(super) fn name(&self, part: usize) -> Option<String> {
        self.names.get(part).cloned()
    }

    /// Whether the file is the one that was opened, as far as its size and the time of its last change say.
    pub(super) fn check_unchanged(&self) -> Result<(), EmbeddingsError> {
        match stamp(&self.path) == self.stamp {
            true => Ok(()),
            false => Err(EmbeddingsError::Changed(self.path.clone())),
        }
    }

    /// Hands some of its rows to `take`, in order, as tensors that hold whole rows.
    pub(super) fn read(
        &self,
        rows: Range<usize>,
        mut take: impl FnMut(Tensor) -> Result<(), EmbeddingsError>,
    ) -> Result<(), EmbeddingsError> {
        let begin = self
            .parts
            .partition_point(|(first, _)| *first <= rows.start);
        for (first, source) in &self.parts[begin.saturating_sub(1)..] {
            let own = source.len() / self.width;
            let from = rows.start.clamp(*first, first + own) - first;
            let to = rows.end.clamp(*first, first + own) - first;
            if from < to {
                take(source.read_range(from * self.width..to * self.width)?)?;
            }
            if first + own >= rows.end {
                break;
            }
        }
        Ok(())
    }
}

/// The order of names in which numbers stand by their value: `passage9` before `passage10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (of_a, of_b) = (digits(a), digits(b));
        if of_a > 0 && of_b > 0 {
            let (x, y) = (
                a[..of_a].trim_start_matches('0'),
                b[..of_b].trim_start_matches('0'),
            );
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            // Of `1` and `01` the shorter is first, so that no two names are equal.
            let order = order.then_with(|| of_a.cmp(&of_b));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[of_a..], &b[of_b..]);
            continue;
        }
        let (mut x, mut y) = (a.chars(), b.chars());
        match (x.next(), y.next()) {
            (Some(c), Some(d)) if c == d => (a, b) = (x.as_str(), y.as_str()),
            (c, d) => return c.cmp(&d),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_stand_by_their_value() {
        let mut names = ["p10", "p9", "p", "p09", "q1.2", "q1.10", "10", "9", "ä"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["9", "10", "p", "p9", "p09", "p10", "q1.2", "q1.10", "ä"]
        );
    }
}
