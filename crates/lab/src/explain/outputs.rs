//! What the modules of a run gave, as hashes by module and passage.

use std::collections::{BTreeMap, BTreeSet};

use concord_model::architecture::Module;
use concord_pipeline::RecordedRun;
use concord_tensor::RowsHash;

/// The hashes of a run's taps.
pub(super) struct Outputs<'a>(BTreeMap<&'a str, BTreeMap<usize, RowsHash>>);

impl<'a> Outputs<'a> {
    pub(super) fn of(run: &'a RecordedRun) -> Outputs<'a> {
        Outputs::filtered(run, |_| true)
    }

    /// Those of these passages.
    pub(super) fn among(run: &'a RecordedRun, pids: &BTreeSet<usize>) -> Outputs<'a> {
        Outputs::filtered(run, |pid| pids.contains(&pid))
    }

    fn filtered(run: &'a RecordedRun, wanted: impl Fn(usize) -> bool) -> Outputs<'a> {
        let mut outputs = BTreeMap::<&str, BTreeMap<usize, RowsHash>>::new();
        for tap in run.taps() {
            let module = outputs.entry(tap.tap.as_str()).or_default();
            let passages = tap.passages.iter().filter(|rows| wanted(rows.pid));
            module.extend(passages.map(|rows| (rows.pid, rows.hash)));
        }
        Outputs(outputs)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &'a str> + Clone + '_ {
        self.0.keys().copied()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn at(&self, path: &str) -> Option<&BTreeMap<usize, RowsHash>> {
        self.0.get(path)
    }

    /// The passages that both have at their modules `path` and `other_path`, and whether their rows agree there.
    pub(super) fn compared<'o>(
        &'o self,
        path: &str,
        other: &'o Outputs<'_>,
        other_path: &str,
    ) -> impl Iterator<Item = (usize, bool)> + 'o {
        let (own, theirs) = (self.at(path), other.at(other_path));
        let pairs = own.zip(theirs).into_iter();
        pairs.flat_map(|(own, theirs)| {
            own.iter()
                .filter_map(|(pid, hash)| Some((*pid, theirs.get(pid)? == hash)))
        })
    }

    /// The passages for which two runs differ at a module.
    pub(super) fn differing(&self, other: &Outputs<'_>, path: &str) -> BTreeSet<usize> {
        let compared = self.compared(path, other, path);
        compared
            .filter_map(|(pid, same)| (!same).then_some(pid))
            .collect()
    }

    /// Whether, for every passage that both have, a module gives what `read` gave in `inputs`.
    pub(super) fn gives_back(&self, path: &str, inputs: &Outputs<'_>, read: &str) -> bool {
        let mut compared = self.compared(path, inputs, read).peekable();
        compared.peek().is_some() && compared.all(|(_, same)| same)
    }

    /// The passages for which a module that hands on what another inside it computed gave something else: what
    /// was between the two.
    pub(super) fn altered_between(&self, container: &Module) -> BTreeSet<usize> {
        let Some(read) = container.reads.first().filter(|_| container.hands_on()) else {
            return BTreeSet::new();
        };
        let compared = self.compared(&container.path, self, read);
        compared
            .filter_map(|(pid, same)| (!same).then_some(pid))
            .collect()
    }
}
