//! The graph that stages form.

use crate::stage::Stage;

/// The stages, each reading what sources and earlier ones make.
#[derive(Default)]
pub struct Graph {
    stages: Vec<Box<dyn Stage>>,
}

impl Graph {
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Adds a stage behind those it reads from.
    #[must_use]
    pub fn with(mut self, stage: impl Stage + 'static) -> Graph {
        self.stages.push(Box::new(stage));
        self
    }

    pub fn stages(&self) -> impl Iterator<Item = &dyn Stage> {
        self.stages.iter().map(AsRef::as_ref)
    }

    /// Puts `stage` in the place of whatever stage makes the same artifacts: a swap. What else the
    /// replaced stage makes, it goes on making.
    #[must_use]
    pub fn swapped(mut self, stage: impl Stage + 'static) -> Graph {
        self.stages.insert(0, Box::new(stage));
        self
    }

    /// The stage that makes an artifact, and which of its outputs that is.
    pub(crate) fn producer(&self, name: &str) -> Option<(&dyn Stage, usize)> {
        self.stages.iter().find_map(|stage| {
            let (output, _) = stage.declaration().output(name)?;
            Some((stage.as_ref(), output))
        })
    }
}
