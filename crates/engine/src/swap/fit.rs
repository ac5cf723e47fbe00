//! Whether what is swapped in has the shape and the values that its place needs.

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, EMBS,
    LOCAL_SAMPLE_EMBS, RESIDUALS, SAMPLE, SAMPLE_HELDOUT, SAMPLED_PIDS,
};
use concord_tensor::Tensor;

/// The sizes that shapes follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub passages: usize,
    /// The width of an embedding.
    pub dim: usize,
    /// Bits per residual dimension.
    pub nbits: usize,
}

/// Why a tensor cannot take the place of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("its shape is {found:?}, and ({needed}) is needed")]
    Shape { found: Vec<usize>, needed: String },
    #[error("it has no rows")]
    Empty,
    /// Passages are not numbers of passages in ascending order.
    #[error(
        "row {row} is passage {pid}: passages ascend, each comes once, and they are below {passages}"
    )]
    Passage {
        row: usize,
        pid: i64,
        /// How many passages there are.
        passages: usize,
    },
    #[error("passage {pid} has {doclen} embeddings")]
    Doclen { pid: usize, doclen: i64 },
}

/// One dimension of a shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Any,
    Exactly(usize),
}

/// The shape of an artifact, as [`concord_pipeline::artifact`] has it.
fn shape(artifact: &str, sizes: Sizes) -> Vec<Extent> {
    use Extent::{Any, Exactly};
    let Sizes {
        passages,
        dim,
        nbits,
    } = sizes;
    match artifact {
        DOCLENS => vec![Exactly(passages)],
        EMBS | LOCAL_SAMPLE_EMBS | SAMPLE | SAMPLE_HELDOUT | CENTROIDS => vec![Any, Exactly(dim)],
        BUCKET_CUTOFFS => vec![Exactly((1 << nbits) - 1)],
        BUCKET_WEIGHTS => vec![Exactly(1 << nbits)],
        AVG_RESIDUAL => vec![],
        RESIDUALS => vec![Any, Exactly(dim * nbits / 8)],
        SAMPLED_PIDS | CODES => vec![Any],
        other => unreachable!("`{other}` cannot be swapped"),
    }
}

/// Checks that `tensor`, of the artifact's dtype, can take its place. Whether the rows of embeddings are
/// as many as the passages have is known only when the graph is evaluated.
pub(super) fn check(artifact: &str, tensor: &Tensor, sizes: Sizes) -> Result<(), Misfit> {
    let needed = shape(artifact, sizes);
    let fits = tensor.shape().len() == needed.len()
        && needed
            .iter()
            .zip(tensor.shape())
            .all(|(needed, found)| *needed == Extent::Any || *needed == Extent::Exactly(*found));
    if !fits {
        let shown: Vec<String> = needed
            .into_iter()
            .map(|extent| match extent {
                Extent::Any => "any".to_owned(),
                Extent::Exactly(size) => size.to_string(),
            })
            .collect();
        return Err(Misfit::Shape {
            found: tensor.shape().to_vec(),
            needed: shown.join(", "),
        });
    }
    if tensor.is_empty() {
        return Err(Misfit::Empty);
    }
    match (artifact, tensor.as_slice::<i64>()) {
        (SAMPLED_PIDS, Ok(pids)) => check_pids(pids, sizes.passages),
        (DOCLENS, Ok(doclens)) => check_doclens(doclens),
        _ => Ok(()),
    }
}

fn check_pids(pids: &[i64], passages: usize) -> Result<(), Misfit> {
    let mut before = -1;
    for (row, &pid) in pids.iter().enumerate() {
        if pid <= before || usize::try_from(pid).is_ok_and(|pid| pid >= passages) {
            return Err(Misfit::Passage { row, pid, passages });
        }
        before = pid;
    }
    Ok(())
}

fn check_doclens(doclens: &[i64]) -> Result<(), Misfit> {
    // A length that is no i32 is none of a passage, and sums of those that are cannot overflow.
    match doclens
        .iter()
        .position(|&doclen| !(0..=i64::from(i32::MAX)).contains(&doclen))
    {
        Some(pid) => Err(Misfit::Doclen {
            pid,
            doclen: doclens[pid],
        }),
        None => Ok(()),
    }
}
