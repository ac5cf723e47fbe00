//! What can be wrong with a read of a stage's inputs.

use crate::declaration::Field;

/// Why a stage cannot have what it asks for.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The declaration of the stage says less than the stage does.
    #[error("stage `{stage}` reads `{artifact}`{of_field}, which it does not declare", of_field = of_field(field))]
    Undeclared {
        stage: &'static str,
        artifact: String,
        /// Empty for the only field of a single tensor.
        field: String,
    },
    /// The stage declares to read the chunk that has the number of its own.
    #[error("stage `{stage}` reads all chunks of `{artifact}`, and declares to read one")]
    UndeclaredChunks {
        stage: &'static str,
        artifact: String,
    },
    #[error("stage `{stage}` counts the rows of `{artifact}`, which it does not declare")]
    UndeclaredRows {
        stage: &'static str,
        artifact: String,
    },
    /// An artifact is read as one tensor that is cut into several.
    #[error("artifact `{artifact}` has {chunks} chunks, and is read as one")]
    SeveralChunks {
        artifact: String,
        /// How many chunks it has.
        chunks: usize,
    },
    /// An artifact is not what the stage takes it for.
    #[error("artifact `{artifact}` has no field `{name}`", artifact = .0.artifact, name = .0.name)]
    NoField(Field),
}

fn of_field(field: &str) -> String {
    match field {
        "" => String::new(),
        field => format!(", field `{field}`"),
    }
}
