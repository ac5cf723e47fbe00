//! Where a checkpoint's files are: in a folder or in the program.

use std::path::Path;

use concord_tensor::{Container, TensorSource, pt, safetensors};

use super::error::CheckpointError;
use crate::checkpoint_file;
use crate::tokenizer::{TokenizerError, TokenizerFiles};

/// The files of a checkpoint.
pub(super) enum Files<'a> {
    Folder(&'a Path),
    Memory {
        /// What the checkpoint is called.
        name: &'a str,
        /// Names and contents.
        files: &'a [(&'static str, &'static [u8])],
    },
}

impl Files<'_> {
    /// What `file` is called in messages; the checkpoint itself for the empty name.
    pub(super) fn place(&self, file: &str) -> String {
        match self {
            Files::Folder(folder) if file.is_empty() => folder.display().to_string(),
            Files::Folder(folder) => folder.join(file).display().to_string(),
            Files::Memory { name, .. } if file.is_empty() => (*name).to_owned(),
            Files::Memory { name, .. } => format!("{name}/{file}"),
        }
    }

    fn has(&self, file: &str) -> bool {
        match self {
            Files::Folder(folder) => folder.join(file).exists(),
            Files::Memory { files, .. } => files.iter().any(|(name, _)| *name == file),
        }
    }

    /// The text of `file`, if it is there.
    pub(super) fn text(&self, file: &str) -> Result<Option<String>, CheckpointError> {
        if !self.has(file) {
            return Ok(None);
        }
        let bytes = match self {
            Files::Folder(folder) => {
                let path = folder.join(file);
                let bytes = checkpoint_file::read(&path, checkpoint_file::MAX_SETTINGS);
                bytes.map_err(|source| CheckpointError::Read { path, source })?
            }
            Files::Memory { files, .. } => memory(files, file).unwrap_or_default().to_vec(),
        };
        let text = String::from_utf8(bytes);
        let text = text.map_err(|error| CheckpointError::NotUtf8 {
            file: self.place(file),
            byte: error.utf8_error().valid_up_to(),
        })?;
        Ok(Some(text))
    }

    pub(super) fn tokenizer(&self) -> Result<TokenizerFiles, TokenizerError> {
        match self {
            Files::Folder(folder) => TokenizerFiles::read(folder),
            Files::Memory { name, files } => {
                let read = |file: &str| Ok(memory(files, file).map(<[u8]>::to_vec));
                TokenizerFiles::collect(Path::new(name), read)
            }
        }
    }

    /// The file that holds the weights, as messages call it, and the tensors in it:
    /// `model.safetensors`, or `pytorch_model.bin` if there is none.
    pub(super) fn weights(&self) -> Result<(String, Vec<(String, TensorSource)>), CheckpointError> {
        let (safe, pickled) = ("model.safetensors", "pytorch_model.bin");
        if self.has(safe) {
            let sources = safetensors::open_container(self.container(safe)?)?;
            return Ok((self.place(safe), sources));
        }
        if self.has(pickled) {
            let sources = pt::open_container(self.container(pickled)?)?.tensors();
            return Ok((self.place(pickled), sources));
        }
        let folder = self.place("");
        for index in [
            "model.safetensors.index.json",
            "pytorch_model.bin.index.json",
        ] {
            if self.has(index) {
                return Err(CheckpointError::Sharded { folder, index });
            }
        }
        Err(CheckpointError::NoWeights { folder })
    }

    fn container(&self, file: &str) -> Result<Container, CheckpointError> {
        match self {
            Files::Folder(folder) => Ok(Container::open(folder.join(file))?),
            Files::Memory { files, .. } => {
                let bytes = memory(files, file).unwrap_or_default();
                Ok(Container::from_bytes(self.place(file), bytes))
            }
        }
    }
}

fn memory(files: &[(&'static str, &'static [u8])], file: &str) -> Option<&'static [u8]> {
    let found = files.iter().find(|(name, _)| *name == file);
    found.map(|(_, bytes)| *bytes)
}
