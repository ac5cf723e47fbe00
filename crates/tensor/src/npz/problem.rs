//! What can be wrong with an `.npz` file.

/// Why an `.npz` file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NpzProblem {
    #[error("this is not an .npz file: it is no ZIP archive")]
    NotAnArchive,
    /// An entry is no file of NumPy's.
    #[error("this is not an .npz file: entry {entry:?} is no .npy file")]
    NotAnArray { entry: String },
    /// The arrays are compressed.
    #[error(
        "entry {entry:?} is compressed, as numpy.savez_compressed writes it; save the arrays with numpy.savez, \
         which stores them as they are"
    )]
    Compressed { entry: String },
    /// An array is not as it should be.
    #[error("entry {entry:?}: {problem}")]
    Array { entry: String, problem: String },
}
