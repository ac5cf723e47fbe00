//! An index of more passages than one of its chunks holds.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::build::Layout;
use concord_engine::settings::IndexSettings;
use concord_index::format::{Index, IndexTensors};
use concord_index::search::Searcher;
use concord_index::verify::verify;
use concord_kernels::compute::Compute;
use concord_kernels::maxsim::Floor;
use concord_pipeline::artifact::{CODES, DOCLENS, RESIDUALS};
use serde_json::{Value as Json, json};

use engine::{built, engine_over};

const PASSAGES: usize = 25_300;

/// One word a passage, or none.
fn passages() -> Collection {
    let words = ["", "fox", "otter", "bridge", "heron", "the", "stone"];
    Collection::from_passages((0..PASSAGES).map(|pid| words[pid % words.len()]))
}

fn json_of(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn passages_beyond_25000_go_into_a_second_chunk_and_are_read_back_behind_the_first() {
    let settings = IndexSettings {
        kmeans_niters: Some(1),
        ..IndexSettings::default()
    };
    let native = engine_over(passages(), "native", settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let report = built(&native, Layout::default(), &out);
    assert_eq!(verify(&out).unwrap(), []);

    let tensors = IndexTensors::open(&out).unwrap();
    let doclens = tensors.doclens().unwrap();
    let rows: Vec<usize> = doclens.iter().map(|doclens| doclens.rows()).collect();
    assert_eq!(rows, [25_000, 300]);
    let embeddings = doclens
        .iter()
        .map(|doclens| doclens.as_slice::<i64>().unwrap().iter().sum());
    let embeddings: Vec<i64> = embeddings.collect();
    for (chunk, passage_offset, num_passages, embedding_offset) in
        [(0, 0, 25_000, 0), (1, 25_000, 300, embeddings[0])]
    {
        assert_eq!(
            json_of(&out.join(format!("{chunk}.metadata.json"))),
            json!({
                "passage_offset": passage_offset,
                "num_passages": num_passages,
                "num_embeddings": embeddings[chunk],
                "embedding_offset": embedding_offset,
            })
        );
    }
    let metadata = json_of(&out.join("metadata.json"));
    assert_eq!(metadata["num_chunks"], 2);
    assert_eq!(metadata["num_embeddings"], embeddings[0] + embeddings[1]);

    // The groups of 1000 passages that were computed are the rows of the chunks, one after another.
    for name in [CODES, RESIDUALS] {
        let computed = report.manifest.artifact(name).unwrap();
        assert_eq!(computed.chunks.len(), 26);
        let mut groups = computed.chunks.iter().map(|chunk| &chunk.fields[0]);
        for source in tensors.artifact(name).unwrap().unwrap() {
            let written = source.read().unwrap();
            let mut row = 0;
            while row < written.rows() {
                let group = groups.next().unwrap();
                let rows = written.slice_rows(row..row + group.shape[0]).unwrap();
                assert_eq!(rows.hash(), group.hash, "{name} from row {row}");
                row += group.shape[0];
            }
        }
        assert!(groups.next().is_none());
    }
    assert_eq!(report.manifest.artifact(DOCLENS).unwrap().chunks.len(), 26);

    // The same text has the same embeddings in either chunk.
    let index = Arc::new(Index::open(&out).unwrap());
    assert_eq!(index.passages(), PASSAGES);
    let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
    let first = searcher.embeddings(1);
    let last = (25_000..PASSAGES as u32).find(|pid| pid % 7 == 1).unwrap();
    assert_eq!(first, searcher.embeddings(last));
    let hits = searcher.score(&first, &[2, last, 1, 25_001], Floor::None);
    let pids: Vec<u32> = hits.iter().map(|hit| hit.pid).collect();
    assert_eq!(pids[..2], [1, last]);
}
