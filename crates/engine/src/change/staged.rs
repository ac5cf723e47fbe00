//! Writing a changed index beside the one that it takes the place of.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use concord_index::format::{
    Assembly, IndexManifest, PASSAGES_FILE, PassageRows, Run, file_records,
};
use concord_index::passages::{PassageDb, PassageTable};
use concord_index::verify::LOG;
use concord_pipeline::Staging;
use concord_pipeline::publish::{write_json, writing};

use super::error::ChangeError;
use super::opened::Opened;
use crate::log::{BuildLog, StageCounter};
use crate::occupant::check_only_an_index;
use crate::origin::Origin;
use crate::recorded::PASSAGES_INPUT;

/// The folder of the new index inside of the staging folder.
pub(super) const INDEX: &str = "index";

/// The staging folder for what is to be at `out`, where there is nothing, or nothing but an index.
pub(super) fn staged(out: &Path) -> Result<Staging, ChangeError> {
    if out.exists() {
        check_only_an_index(out)?;
    }
    Ok(Staging::open(out)?)
}

/// Ends with what was written, or leaves nothing. Returns how many embeddings there are.
pub(super) fn finished(
    staging: Staging,
    written: Result<usize, ChangeError>,
    publish: impl FnOnce(Staging) -> Result<(), ChangeError>,
) -> Result<usize, ChangeError> {
    match written {
        Ok(embeddings) => publish(staging).map(|()| embeddings),
        Err(error) => {
            // What went wrong first is what is told.
            let _ = staging.discard();
            Err(error)
        }
    }
}

pub(super) fn replace(staging: Staging, out: &Path) -> Result<(), ChangeError> {
    check_only_an_index(out)?;
    Ok(staging.replace(INDEX)?)
}

/// An empty folder inside of the staging folder.
pub(super) fn emptied(staging: &Staging, name: &str) -> Result<PathBuf, ChangeError> {
    let folder = staging.path(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(writing(&folder))?;
    }
    fs::create_dir(&folder).map_err(writing(&folder))?;
    Ok(folder)
}

/// What a changed index is made of.
pub(super) struct Change<'a> {
    /// The index with the codec and the settings.
    pub(super) opened: &'a Opened,
    pub(super) sources: &'a [PassageRows],
    pub(super) runs: Vec<Run>,
    pub(super) table: &'a PassageTable,
}

impl Change<'_> {
    /// Writes the index, every file that it has, and returns how many embeddings there are.
    pub(super) fn write(
        self,
        staging: &Staging,
        stages: StageCounter<'_>,
        begun: Instant,
        threads: usize,
    ) -> Result<usize, ChangeError> {
        let Change {
            opened,
            sources,
            runs,
            table,
        } = self;
        let folder = emptied(staging, INDEX)?;
        let assembly = Assembly {
            sources,
            runs,
            codec: &opened.tensors,
            config: &opened.config,
            seed: opened.seed,
            partitions: opened.partitions,
            pad_ivf: opened.pad_ivf,
        };
        let assembled = assembly.write(&folder, &stages)?;
        PassageDb::write(&folder.join(PASSAGES_FILE), table)?;
        let mut files = assembled.files;
        let of_table = file_records(&folder, vec![PASSAGES_FILE.to_owned()]);
        files.extend(of_table.map_err(writing(&folder))?);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut inputs = opened.manifest.inputs.clone();
        inputs.retain(|name, _| name == "checkpoint");
        inputs.insert(PASSAGES_INPUT.to_owned(), table.hash());
        let manifest = IndexManifest {
            inputs,
            artifacts: assembled.artifacts,
            files,
            ..opened.manifest.clone()
        };
        manifest.write(&folder)?;
        let seconds = begun.elapsed().as_secs_f64();
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let log = BuildLog {
            origin: Origin {
                checkpoint: opened
                    .log
                    .as_ref()
                    .map_or_else(String::new, |log| log.origin.checkpoint.clone()),
                collection: String::new(),
            },
            started: started.map_or(0, |now| now.as_secs().saturating_sub(seconds as u64)),
            seconds,
            threads,
            stages: stages.into_stages(),
        };
        write_json(&folder.join(LOG), &log)?;
        Ok(assembled.embeddings)
    }
}
