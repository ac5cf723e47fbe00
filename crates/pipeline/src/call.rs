//! One call of a stage: its inputs, and whom to tell.

use concord_tensor::Tensor;

use crate::declaration::{Chunks, Input, StageDeclaration};
use crate::progress::Progress;
use crate::read_error::ReadError;
use crate::stage_error::StageError;
use crate::tap::TapSink;
use crate::value::Value;

/// Where a call gets its inputs from.
pub(crate) trait Inputs {
    fn chunks(&self, artifact: &str) -> Result<usize, StageError>;
    fn load(&self, artifact: &str, chunk: usize) -> Result<Value, StageError>;
}

/// What a stage is called with. It gives the stage the fields that its declaration names and no others.
pub struct Call<'a> {
    pub(crate) declaration: &'static StageDeclaration,
    pub(crate) chunk: usize,
    pub(crate) first_pid: usize,
    pub(crate) passages: usize,
    pub(crate) inputs: &'a dyn Inputs,
    pub(crate) taps: Option<&'a dyn TapSink>,
    pub(crate) progress: &'a dyn Progress,
}

impl<'a> Call<'a> {
    /// The number of the chunk being made.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// The first passage of the chunk; for taps and messages, never for arithmetic.
    pub fn first_pid(&self) -> usize {
        self.first_pid
    }

    /// The number of passages of the collection; for messages and checks, never for arithmetic.
    pub fn passages(&self) -> usize {
        self.passages
    }

    /// The single tensor of an artifact: of its same chunk, or of its only chunk.
    ///
    /// # Errors
    /// As [`Call::field`].
    pub fn tensor(&self, artifact: &str) -> Result<Tensor, StageError> {
        self.field(artifact, "")
    }

    /// One field of an artifact: of its same chunk, or of its only chunk.
    ///
    /// # Errors
    /// [`ReadError`] when the stage does not declare the field, when the artifact does not have it, or has
    /// several chunks of which all are declared; and when it cannot be computed or loaded.
    pub fn field(&self, artifact: &str, field: &str) -> Result<Tensor, StageError> {
        let input = self.declared(artifact, field)?;
        let chunk = match input.chunks {
            Chunks::Same => self.chunk,
            Chunks::Whole => match self.inputs.chunks(artifact)? {
                1 => 0,
                chunks => {
                    let artifact = artifact.to_owned();
                    return Err(ReadError::SeveralChunks { artifact, chunks }.into());
                }
            },
        };
        Ok(field_of(self.inputs.load(artifact, chunk)?, input)?)
    }

    /// The single tensor of each chunk of an artifact, loaded one at a time.
    ///
    /// # Errors
    /// [`ReadError`] when the stage does not declare to read all chunks, and when their number cannot be
    /// found out; each item, when it cannot be loaded or is no single tensor.
    pub fn chunks(
        &self,
        artifact: &'a str,
    ) -> Result<impl Iterator<Item = Result<Tensor, StageError>> + 'a, StageError> {
        let input = self.declared(artifact, "")?;
        if input.chunks == Chunks::Same {
            let (stage, artifact) = (self.declaration.name, artifact.to_owned());
            return Err(ReadError::UndeclaredChunks { stage, artifact }.into());
        }
        let (count, inputs) = (self.inputs.chunks(artifact)?, self.inputs);
        Ok((0..count).map(move |chunk| Ok(field_of(inputs.load(artifact, chunk)?, input)?)))
    }

    /// How many rows an artifact has that is a single tensor, over all chunks.
    ///
    /// # Errors
    /// [`ReadError`] when the stage does not declare to read that; and when a chunk cannot be loaded.
    pub fn rows(&self, artifact: &str) -> Result<usize, StageError> {
        let input = self.declaration.rows_input(artifact);
        let input = input.ok_or_else(|| ReadError::UndeclaredRows {
            stage: self.declaration.name,
            artifact: artifact.to_owned(),
        })?;
        let mut rows = 0;
        for chunk in 0..self.inputs.chunks(artifact)? {
            rows += field_of(self.inputs.load(artifact, chunk)?, input)?.rows();
        }
        Ok(rows)
    }

    fn declared(&self, artifact: &str, field: &str) -> Result<Input, ReadError> {
        let input = self.declaration.input(artifact, field);
        input.ok_or_else(|| ReadError::Undeclared {
            stage: self.declaration.name,
            artifact: artifact.to_owned(),
            field: field.to_owned(),
        })
    }

    /// Where taps go; `None` when nobody asked for any.
    pub fn taps(&self) -> Option<&'a dyn TapSink> {
        self.taps
    }

    /// Reports that `done` of `total` units are done.
    pub fn advanced(&self, done: u64, total: u64, unit: &str) {
        self.progress()(done, total, unit);
    }

    /// Reports that what the stage measures came to `sum` over `count` things.
    pub fn measured(&self, what: &str, sum: u64, count: u64) {
        self.progress
            .measured(self.declaration.name, what, sum, count);
    }

    /// [`Call::advanced`] for the threads that a stage shares its work among.
    pub fn progress(&self) -> impl Fn(u64, u64, &str) + Send + Sync + 'a {
        let (stage, progress) = (self.declaration.name, self.progress);
        move |done, total, unit| progress.advanced(stage, done, total, unit)
    }
}

fn field_of(value: Value, input: Input) -> Result<Tensor, ReadError> {
    let field = value.field(input.field.name);
    field.cloned().ok_or(ReadError::NoField(input.field))
}
