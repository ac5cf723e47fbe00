//! Indexes that are changed: one construction in however many steps, and a plain model beside random operations.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;
#[path = "changing/killing.rs"]
mod killing;
#[path = "changing/operations.rs"]
mod operations;
#[path = "changing/random.rs"]
mod random;
#[path = "changing/readers.rs"]
mod readers;
#[path = "changing/retrained.rs"]
mod retrained;
#[path = "changing/shards.rs"]
mod shards;
#[path = "changing/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use concord_engine::build::Layout;
use concord_engine::change::{ChangeError, compact, delete, merge};
use concord_engine::rebuild::{RebuildError, rebuild};
use concord_engine::settings::IndexSettings;
use concord_index::format::{IndexManifest, PASSAGES_FILE};
use concord_index::verify::{LOG, verify};
use concord_pipeline::NoProgress;

use engine::{built, engine_over, options};
use world::{World, collection, line, passages, texts};

/// The bytes of every file of an index but the log.
fn bytes(index: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(index).unwrap().map(|entry| entry.unwrap());
    let files = files.map(|file| {
        let name = file.file_name().into_string().unwrap();
        let bytes = fs::read(file.path()).unwrap();
        (name, bytes)
    });
    files
        .filter(|(name, _)| name != "concord.log.json")
        .collect()
}

#[test]
fn in_pieces_at_once_and_merged_are_one_construction() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let world = World::new(&at("base"), passages(0..40, "p"));
    let (pieces, once, merged) = (at("pieces"), at("once"), at("merged"));
    world.copy(&pieces);
    world.copy(&once);
    for piece in 0..10 {
        let from = 40 + piece * 8;
        world
            .add(&pieces, passages(from..from + 8, "p"), false)
            .unwrap();
    }
    world.add(&once, passages(40..120, "p"), false).unwrap();
    let shards: Vec<_> = [40..75, 75..120]
        .map(|range| {
            let shard = at(&format!("shard-{}", range.start));
            world.shard(&shard, passages(range, "p"));
            shard
        })
        .into();
    let all = [at("base"), shards[0].clone(), shards[1].clone()];
    let report = merge(&all, &merged, &NoProgress).unwrap();
    assert_eq!((report.passages, report.added), (120, 80));
    let expected = bytes(&once);
    assert_eq!(bytes(&pieces), expected);
    assert_eq!(bytes(&merged), expected);
    assert_eq!(verify(&once).unwrap(), []);
    // Its files of tensors are those of a build of all passages with that codec.
    world.shard(&at("built"), passages(0..120, "p"));
    for (file, bytes) in bytes(&at("built")) {
        if file != "concord.json" {
            assert_eq!(Some(&bytes), expected.get(&file), "{file}");
        }
    }
    // Deleted in either order, and dropped, they are the same again.
    delete(&pieces, ["p3", "p100"], &NoProgress).unwrap();
    delete(&once, ["p100"], &NoProgress).unwrap();
    delete(&once, ["p3"], &NoProgress).unwrap();
    assert_eq!(bytes(&pieces), bytes(&once));
    assert_eq!(compact(&pieces, &NoProgress).unwrap().dropped, 2);
    compact(&once, &NoProgress).unwrap();
    assert_eq!(bytes(&pieces), bytes(&once));
    assert_eq!(verify(&once).unwrap(), []);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let index = at("index");
    let world = World::new(&index, passages(0..30, "p"));
    let before = bytes(&index);
    let refused = |result: Result<_, ChangeError>, expected: &str| {
        let error = result
            .map(|_: concord_engine::change::ChangeReport| ())
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(bytes(&index), before);
        assert_eq!(
            fs::read_dir(folder.path())
                .unwrap()
                .filter(|entry| {
                    entry
                        .as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .starts_with('.')
                })
                .count(),
            0
        );
    };
    refused(
        world.add(&index, passages(29..32, "p"), false),
        "has a passage `p29` already",
    );
    refused(
        delete(&index, ["p1", "nobody"], &NoProgress),
        "no passage `nobody`",
    );
    refused(delete(&index, [], &NoProgress), "nothing to delete");
    let all: Vec<String> = (0..30).map(|pid| format!("p{pid}")).collect();
    refused(
        delete(&index, all.iter().map(String::as_str), &NoProgress),
        "no passage would be left",
    );
    let other = at("other");
    built(
        &engine_over(
            collection(&passages(40..70, "q")),
            "native",
            IndexSettings::default(),
        )
        .unwrap(),
        Layout::default(),
        &other,
    );
    let both = [index.clone(), other];
    refused(
        merge(&both, &at("out"), &NoProgress),
        "they differ in the codec (centroids.pt)",
    );
    world.shard(&at("same"), passages(20..24, "p"));
    refused(
        merge(&[index.clone(), at("same")], &at("out"), &NoProgress),
        "`p20` already",
    );
    refused(
        merge(&[index.clone(), index.clone()], &at("out"), &NoProgress),
        "given twice",
    );
    let held = fs::File::open(&index).unwrap();
    held.lock().unwrap();
    refused(delete(&index, ["p1"], &NoProgress), "another process");
    drop(held);
    // A deleted passage may come back as a new one.
    delete(&index, ["p1"], &NoProgress).unwrap();
    world
        .add(&index, vec![("p1".to_owned(), texts()[50].clone())], false)
        .unwrap();
    // It is no collection's any more.
    let manifest = IndexManifest::read(&index).unwrap().unwrap();
    let again = rebuild(
        &manifest,
        std::sync::Arc::new(engine::checkpoint()),
        collection(&passages(0..30, "p")),
        options("native"),
        &NoProgress,
    );
    assert!(matches!(again, Err(RebuildError::Changed)));
}

#[test]
fn an_older_index_is_changed_by_the_ids_of_its_collection() {
    let folder = tempfile::tempdir().unwrap();
    let (index, new, file) = ["index", "new", "c.jsonl"]
        .map(|name| folder.path().join(name))
        .into();
    World::new(&new, passages(0..30, "p"));
    World::new(&index, passages(0..30, "p"));
    let old = IndexManifest::read(&index).unwrap().unwrap();
    let mut older = old.clone();
    older.files.retain(|file| file.name != PASSAGES_FILE);
    older.inputs.remove("ids");
    fs::remove_file(index.join(PASSAGES_FILE)).unwrap();
    older.write(&index).unwrap();
    let error = delete(&index, ["p4"], &NoProgress).unwrap_err();
    assert!(
        error.to_string().contains("built before ids were kept"),
        "{error}"
    );
    let lines = passages(0..30, "p");
    let lines = lines.iter().map(|passage| line(passage) + "\n");
    fs::write(&file, lines.collect::<String>()).unwrap();
    let log = fs::read_to_string(index.join(LOG)).unwrap();
    let named = format!("\"collection\": \"{}\"", file.display());
    fs::write(index.join(LOG), log.replace("\"collection\": \"\"", &named)).unwrap();
    delete(&index, ["p4"], &NoProgress).unwrap();
    delete(&new, ["p4"], &NoProgress).unwrap();
    assert_eq!(bytes(&index), bytes(&new));
}

#[test]
fn random_operations_leave_what_a_plain_model_has() {
    let operations = std::env::var("CONCORD_OPERATIONS").map_or(60, |n| n.parse().unwrap());
    let seed = std::env::var("CONCORD_SEED").map_or(17, |seed| seed.parse().unwrap());
    let (counts, kills) = operations::random_operations(seed, operations);
    println!("seed {seed}: {counts:?}");
    println!(
        "kills by how they were timed and when they came: {:?}",
        kills.counts
    );
    operations::check_moments(&kills);
}

/// What a process does that is killed: nothing, where it is not told.
#[test]
fn process_that_is_killed() {
    killing::child();
}
