//! Checkpoints by name: the embedded one, a folder, or one of the hub.

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
