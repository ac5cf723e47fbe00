//! `concord verify`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use concord_corpus::Collection;
use concord_engine::log::BuildLog;
use concord_engine::rebuild::{RebuildError, RebuildReport, rebuild};
use concord_index::format::{Index, IndexManifest};
use concord_index::verify::{Finding, verify};
use concord_report::findings_table;
use serde_json::json;

use crate::environment;
use crate::inputs::{ComputeArguments, checkpoint, refuse};
use crate::output::{Failure, Outcome, print, print_json, warn};
use crate::progress::TerminalProgress;

/// Check every byte of an index.
///
/// The files are compared with the hashes in the index's manifest. With --rebuild, everything is
/// computed again from the collection, and the hash of every artifact compared. An index that the
/// reference built has no manifest: its files are checked against each other.
#[derive(Args)]
#[command(after_help = "Examples:
  concord verify index
  concord verify index --rebuild collection.tsv --checkpoint ./checkpoint")]
pub struct VerifyCommand {
    /// The index
    index: PathBuf,
    /// Build it again from this collection and compare every artifact
    #[arg(long, value_name = "COLLECTION")]
    rebuild: Option<PathBuf>,
    /// The checkpoint to build it again with [default: where the index's log says it was]
    #[arg(long, value_name = "CHECKPOINT", requires = "rebuild")]
    checkpoint: Option<String>,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl VerifyCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        if self.rebuild.is_none() {
            let because = "nothing is built; give --rebuild COLLECTION to build the index again";
            refuse(self.compute.given(), because)?;
        }
        let Some(manifest) = IndexManifest::read(&self.index)? else {
            return self.without_manifest();
        };
        let findings = verify(&self.index)?;
        let rebuilt = match &self.rebuild {
            Some(collection) => Some(self.build_again(&manifest, collection)?),
            None => None,
        };
        let same = findings.is_empty() && rebuilt.as_ref().is_none_or(|r| r.differing.is_empty());
        if self.json {
            print_json(&json!({
                "same": same,
                "files": manifest.files.len(),
                "findings": findings,
                "rebuilt": rebuilt,
            }))?;
        } else {
            print(&report(&manifest, &findings, rebuilt.as_ref()))?;
        }
        Ok(Outcome::same_if(same))
    }

    fn without_manifest(&self) -> Result<Outcome, Failure> {
        let index = Index::open(&self.index)?;
        let path = self.index.display();
        warn(&[format!(
            "{path} has no manifest, so it was not built by Concord; its files fit together, but whether \
             a byte was altered cannot be told"
        )]);
        if self.rebuild.is_some() {
            return Err(
                "--rebuild needs an index that Concord built; use `concord diff` instead".into(),
            );
        }
        if self.json {
            print_json(&json!({ "same": null, "passages": index.passages() }))?;
        } else {
            print(&format!(
                "{path}: {} passages, complete\n",
                index.passages()
            ))?;
        }
        Ok(Outcome::Same)
    }

    fn build_again(&self, manifest: &IndexManifest, path: &Path) -> Result<RebuildReport, Failure> {
        let spec = self
            .checkpoint
            .clone()
            .or_else(|| BuildLog::read(&self.index).map(|log| log.origin.checkpoint));
        let spec =
            spec.ok_or("the index does not say where its checkpoint is: give --checkpoint")?;
        let collection = Collection::open(path)?;
        let compute = concord_engine::options::NativeOptions {
            batch: self.compute.batch,
            compute: self.compute.options()?,
            ..Default::default()
        };
        let rebuilt = rebuild(
            manifest,
            Arc::new(checkpoint(&spec)?),
            collection,
            compute,
            &TerminalProgress::new(),
        );
        rebuilt.map_err(|error| match error {
            RebuildError::OtherInput(input) => {
                let given = match input.as_str() {
                    "collection" => path.display().to_string(),
                    _ => spec,
                };
                format!("{given} is not the {input} that the index was built from").into()
            }
            error => error.into(),
        })
    }
}

fn report(
    manifest: &IndexManifest,
    findings: &[Finding],
    rebuilt: Option<&RebuildReport>,
) -> String {
    let mut text = match findings {
        [] => format!(
            "{} files, every byte as it was written\n",
            manifest.files.len()
        ),
        _ => findings_table(findings, &environment::style()),
    };
    if let Some(rebuilt) = rebuilt {
        for artifact in &rebuilt.differing {
            text.push_str(&format!("{artifact} came out different\n"));
        }
        let (same, all) = (rebuilt.compared - rebuilt.differing.len(), rebuilt.compared);
        text.push_str(&format!(
            "built again: {same} of {all} artifacts have the same hash\n"
        ));
    }
    text
}
