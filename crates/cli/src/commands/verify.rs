//! `concord verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use concord_corpus::Collection;
use concord_engine::change::{rebuild_changed, rebuild_changed_embeddings};
use concord_engine::embeddings::GivenPassages;
use concord_engine::log::BuildLog;
use concord_engine::rebuild::{RebuildError, RebuildReport, rebuild, rebuild_of_embeddings};
use concord_engine::recorded::has_given_codec;
use concord_index::format::{INDEX_MANIFEST, Index, IndexFiles, IndexManifest};
use concord_index::passages::{Field, PassageDb};
use concord_index::verify::{Checked, VerifyError, check, damage};
use concord_kernels::compute::Compute;
use concord_report::{findings_table, printable};
use serde_json::json;

use crate::environment;
use crate::inputs::{ComputeArguments, EmbeddingArguments, checkpoint, joined, refuse};
use crate::output::{Failure, Outcome, print, print_json, warn};
use crate::progress::TerminalProgress;

/// Check every byte of an index.
///
/// The files are compared with the hashes in the index's manifest. With --rebuild, or of an index of
/// given embeddings with --embeddings, everything is computed again, and the hash of every artifact compared. Of an index
/// that was changed, or built with a codec that was given, the codec is taken as it is, and everything else computed again;
/// --rebuild then takes all files that its texts are from, --embeddings those with all its passages under their ids. An
/// index that the reference built has no manifest: its files are checked against each other. Where passages have metadata,
/// its fields are listed, with the kinds of their values.
#[derive(Args)]
#[command(after_help = "Examples:
  concord verify index
  concord verify index --rebuild collection.tsv --checkpoint ./checkpoint
  concord verify changed --rebuild collection.tsv more.tsv
  concord verify index --embeddings passages.npy --doclens doclens.npy")]
pub struct VerifyCommand {
    /// The index
    index: PathBuf,
    /// Build it again from this collection and compare every artifact
    #[arg(long, value_name = "COLLECTION", num_args = 1.., conflicts_with = "embeddings")]
    rebuild: Vec<PathBuf>,
    #[command(flatten)]
    given: EmbeddingArguments,
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
        let rebuilds = self.given.any()? || !self.rebuild.is_empty();
        if !rebuilds {
            let because = "nothing is built; give --rebuild COLLECTION to build the index again";
            refuse(self.compute.given(), because)?;
        }
        let checked = match check(&self.index) {
            Err(VerifyError::NoManifest(_)) => return self.without_manifest(),
            checked => checked?,
        };
        let Checked {
            manifest,
            manifest_has_hash,
            findings,
        } = &checked;
        if manifest.is_some() && !manifest_has_hash {
            warn(&[format!(
                "the manifest of {} has no hash of its own, since the index was built before there was one; whether \
                 it was altered cannot be told",
                self.index.display()
            )]);
        }
        let rebuilt = match (rebuilds, manifest) {
            (true, Some(manifest)) => Some(match &self.rebuild[..] {
                [] => self.build_again_of_embeddings(manifest)?,
                files => self.build_again(manifest, files)?,
            }),
            (true, None) => {
                let what = "nothing is built again: how, stands in the manifest, which is damaged";
                warn(&[what.to_owned()]);
                None
            }
            (false, _) => None,
        };
        // Of a damaged table, nothing is told.
        let fields = match findings.is_empty() {
            true => IndexFiles::open(&self.index)?.passages()?,
            false => None,
        };
        let fields = fields.as_ref().map(PassageDb::fields).unwrap_or_default();
        let files = manifest.as_ref().map(|manifest| manifest.files.len());
        let same = findings.is_empty() && rebuilt.as_ref().is_none_or(|r| r.differing.is_empty());
        if self.json {
            print_json(&json!({
                "same": same,
                "files": files,
                "manifest_has_hash": manifest_has_hash,
                "findings": findings,
                "fields": fields.iter().map(field).collect::<Vec<_>>(),
                "rebuilt": rebuilt,
            }))?;
        } else {
            print(&report(&checked, fields, rebuilt.as_ref()))?;
        }
        Ok(Outcome::same_if(same))
    }

    fn without_manifest(&self) -> Result<Outcome, Failure> {
        let path = self.index.display();
        if damage(&IndexFiles::open(&self.index)?)?.is_some() {
            return Err(format!(
                "{path} was built by Concord, as its log says, and its manifest {INDEX_MANIFEST} is missing: nothing \
                 says how its files were written. Build it again, or compare it with another by `concord diff`"
            )
            .into());
        }
        let index = Index::open(&self.index)?;
        warn(&[format!(
            "{path} has no manifest, so it was not built by Concord; its files fit together, but whether \
             a byte was altered cannot be told"
        )]);
        if !self.rebuild.is_empty() || self.given.any()? {
            return Err(
                "building again needs an index that Concord built; use `concord diff` instead"
                    .into(),
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

    fn build_again_of_embeddings(
        &self,
        manifest: &IndexManifest,
    ) -> Result<RebuildReport, Failure> {
        let compute = self.compute.options_of_given_embeddings()?;
        let progress = TerminalProgress::new();
        if has_given_codec(manifest) {
            let (compute, passages) = (
                Compute::new(&compute)?,
                GivenPassages::open(&self.given.files())?,
            );
            return Ok(rebuild_changed_embeddings(
                &self.index,
                passages,
                compute,
                &progress,
            )?);
        }
        let rebuilt = rebuild_of_embeddings(manifest, &self.given.files(), &compute, &progress);
        rebuilt.map_err(|error| match error {
            RebuildError::OtherInput(input) => {
                format!("these are not the {input} that the index was built from").into()
            }
            error => error.into(),
        })
    }

    fn build_again(
        &self,
        manifest: &IndexManifest,
        files: &[PathBuf],
    ) -> Result<RebuildReport, Failure> {
        let spec = self
            .checkpoint
            .clone()
            .or_else(|| BuildLog::read(&self.index).map(|log| log.origin.checkpoint));
        let spec =
            spec.ok_or("the index does not say where its checkpoint is: give --checkpoint")?;
        let compute = concord_engine::options::NativeOptions {
            batch: self.compute.batch,
            compute: self.compute.options()?,
            ..Default::default()
        };
        let (checkpoint, progress) = (Arc::new(checkpoint(&spec)?), TerminalProgress::new());
        if has_given_codec(manifest) {
            let texts = joined(files)?;
            let named = (spec.as_str(), checkpoint);
            return Ok(rebuild_changed(
                &self.index,
                &texts,
                named,
                &compute,
                &progress,
            )?);
        }
        let [path] = files else {
            return Err(
                "the index was built from one collection: give --rebuild that one alone".into(),
            );
        };
        let collection = Collection::open(path)?;
        let rebuilt = rebuild(manifest, checkpoint, collection, compute, &progress);
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

/// A field and how many passages have it with values of each kind.
fn field(field: &Field) -> serde_json::Value {
    let kinds = field
        .kinds
        .iter()
        .map(|(kind, n)| (kind.name().to_owned(), json!(n)));
    json!({ "name": field.name, "passages": kinds.collect::<serde_json::Map<_, _>>() })
}

fn report(checked: &Checked, fields: &[Field], rebuilt: Option<&RebuildReport>) -> String {
    let mut text = match (&checked.findings[..], &checked.manifest) {
        ([], Some(manifest)) if checked.manifest_has_hash => format!(
            "{} files and their manifest, every byte as it was written\n",
            manifest.files.len()
        ),
        ([], Some(manifest)) => format!(
            "{} files, every byte as the manifest says\n",
            manifest.files.len()
        ),
        (findings, _) => findings_table(findings, &environment::style()),
    };
    for Field { name, kinds } in fields {
        let kinds = kinds.iter().map(|(kind, n)| match n {
            1 => format!("{kind} of 1 passage"),
            n => format!("{kind} of {n} passages"),
        });
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        text.push_str(&format!("field {}: {kinds}\n", printable(name)));
    }
    if let Some(rebuilt) = rebuilt {
        for artifact in &rebuilt.differing {
            text.push_str(&format!("{artifact} came out different\n"));
        }
        let kept = if rebuilt.codec_kept {
            " under the codec that the index has"
        } else {
            ""
        };
        let (same, all) = (rebuilt.compared - rebuilt.differing.len(), rebuilt.compared);
        text.push_str(&format!(
            "built again{kept}: {same} of {all} artifacts have the same hash\n"
        ));
    }
    text
}
