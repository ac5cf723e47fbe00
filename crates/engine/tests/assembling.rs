//! An index assembled of the passages of others is, file by file, the one that was built.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;

use concord_engine::build::Layout;
use concord_engine::settings::IndexSettings;
use concord_index::format::{Assembly, IndexTensors, PASSAGES_FILE, PassageRows, Run};
use concord_model::config::{ColbertConfig, ConfigLayer};
use concord_pipeline::NoProgress;

use engine::{built, engine};

#[test]
fn an_index_assembled_of_its_own_parts_has_the_files_of_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    let native = engine("native", IndexSettings::default()).unwrap();
    let report = built(&native, Layout::default(), &index);
    let tensors = IndexTensors::open(&index).unwrap();
    let config = tensors.setting("config").unwrap().as_object().unwrap();
    let config = ColbertConfig::resolve([&ConfigLayer::from_map("config", config).unwrap()]);
    let width = config.dim / 8 * config.nbits;
    let rows = PassageRows::of_index(&tensors, width).unwrap();
    let passages = rows.passages();
    let part = |pids| Run::Of { source: 0, pids };
    for (number, runs) in [vec![part(0..passages)], vec![part(0..7), part(7..passages)]]
        .into_iter()
        .enumerate()
    {
        let out = folder.path().join(format!("assembled-{number}"));
        fs::create_dir(&out).unwrap();
        let assembly = Assembly {
            sources: std::slice::from_ref(&rows),
            runs,
            codec: &tensors,
            config: &config,
            seed: concord_engine::settings::DEFAULT_SEED,
            partitions: None,
            pad_ivf: false,
        };
        let assembled = assembly.write(&out, &NoProgress).unwrap();
        // What is known of the passages is written beside it.
        let files = report.manifest.files.iter();
        let files = files.filter(|file| file.name != PASSAGES_FILE).cloned();
        assert_eq!(assembled.files, files.collect::<Vec<_>>());
        for artifact in assembled.artifacts {
            let of_build = report.manifest.artifact(&artifact.name).unwrap();
            // A build remembers centroids as they were before they were rounded.
            if artifact.name != "centroids" {
                assert_eq!(artifact.chunks, of_build.chunks, "{}", artifact.name);
            }
        }
    }
    // Another order and a passage that is deleted: neither is there as it is to be.
    let source = std::slice::from_ref(&rows);
    let out = folder.path().join("deleted");
    fs::create_dir(&out).unwrap();
    let runs = vec![part(3..passages), Run::Empty(1), part(0..2)];
    let (codec, config, seed) = (&tensors, &config, 12345);
    let (sources, pad_ivf) = (source, false);
    let assembly = Assembly {
        sources,
        runs,
        codec,
        config,
        seed,
        partitions: None,
        pad_ivf,
    };
    assembly.write(&out, &NoProgress).unwrap();
    let deleted = concord_index::format::Index::open(&out).unwrap();
    assert_eq!(deleted.passages(), passages);
    let lost = rows.doclens()[2] as usize;
    assert_eq!(
        deleted.embeddings() + lost,
        rows.doclens().iter().sum::<i64>() as usize
    );
}
