//! Checkpoints by name: the embedded one, a folder, or one of the hub.

use std::path::Path;

use concord_model::checkpoint::{Checkpoint, CheckpointError};
use concord_model::hub::HubOptions;

use crate::embedded;

/// The checkpoint that `name` stands for: [`embedded::CHECKPOINT`], a folder, a `.dnn` file's model, or an id of
/// the Hugging Face hub, `owner/name`.
///
/// # Errors
/// When there is none, it cannot be fetched, or it is not what its configuration says.
pub fn load(name: &str, hub: &HubOptions) -> Result<Checkpoint, CheckpointError> {
    if name == embedded::CHECKPOINT {
        return embedded::checkpoint();
    }
    Checkpoint::load(name, hub)
}

/// Where a checkpoint of that name lies: the absolute path of a folder; other names stay what they are.
pub fn location(name: &str) -> String {
    let folder = Path::new(name);
    if folder.exists() && name != embedded::CHECKPOINT {
        absolute(folder)
    } else {
        name.to_owned()
    }
}

pub(crate) fn absolute(path: &Path) -> String {
    // A path that ends in `..` has no name of its own before it is resolved.
    let absolute = match path.file_name() {
        Some(_) => std::path::absolute(path),
        None => path.canonicalize(),
    };
    let absolute = absolute.unwrap_or_else(|_| path.to_owned());
    absolute.to_string_lossy().into_owned()
}
