//! What of a module is swept, and what is given to it.

use concord_model::architecture::{Architecture, Module};
use concord_pipeline::ModulePattern;
use concord_subject::runner::Runner;

use super::error::SweepError;

/// How much of a module is swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// The module with all that is inside it.
    #[default]
    Whole,
    /// What it computes itself: what modules inside it compute is given to it as well.
    Alone,
}

/// A module that can be swept.
pub(super) struct Swept {
    /// The modules whose outputs are given to it.
    pub held: Vec<String>,
    /// The modules that compute for it, in order.
    pub computing: Vec<String>,
}

impl Swept {
    /// # Errors
    /// For a pattern, for a path at which there is no module or none that is run, and for one that has nothing
    /// to compute alone.
    pub(super) fn of(runner: &Runner, path: &str, extent: Extent) -> Result<Swept, SweepError> {
        let architecture = runner.architecture();
        if path.contains('*') {
            return Err(pattern(&architecture, path));
        }
        let Some(module) = architecture.module(path) else {
            return Err(SweepError::NoSuchModule {
                module: path.to_owned(),
                layers: architecture.layers(),
            });
        };
        if let Some(cut) = cut_around(runner, path) {
            return Err(SweepError::CutOut {
                module: path.to_owned(),
                cut: cut.to_owned(),
            });
        }
        if extent == Extent::Alone && module.hands_on() {
            return Err(SweepError::HandsOn {
                module: path.to_owned(),
                computes: module.reads.first().cloned().unwrap_or_default(),
            });
        }
        let parts: Vec<&Module> = match extent {
            Extent::Whole => architecture.within(path).collect(),
            Extent::Alone => vec![module],
        };
        let is_part = |read: &str| parts.iter().any(|part| part.path == read);
        let mut held: Vec<String> = Vec::new();
        for read in parts.iter().flat_map(|part| &part.reads) {
            // What is inside a module that is cut out gives nothing; what is cut out gives back what it got.
            let read = cut_around(runner, read).unwrap_or(read);
            if !is_part(read) && !held.iter().any(|known| known == read) {
                held.push(read.to_owned());
            }
        }
        let runs = |part: &&&Module| {
            !part.hands_on()
                && !runner.is_cut_out(&part.path)
                && cut_around(runner, &part.path).is_none()
        };
        Ok(Swept {
            held,
            computing: parts
                .iter()
                .filter(runs)
                .map(|part| part.path.clone())
                .collect(),
        })
    }
}

/// The outermost module around the one at `path` that is cut out.
fn cut_around<'p>(runner: &Runner, path: &'p str) -> Option<&'p str> {
    let ends = path.match_indices('.').map(|(at, _)| &path[..at]);
    ends.into_iter().find(|around| runner.is_cut_out(around))
}

fn pattern(architecture: &Architecture, pattern: &str) -> SweepError {
    let names = ModulePattern::new(pattern);
    let matching = architecture.paths().filter(|path| names.covers(path));
    SweepError::Pattern {
        pattern: pattern.to_owned(),
        matching: matching.map(str::to_owned).collect(),
    }
}
