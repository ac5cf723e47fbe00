//! One construction, in however many pieces, on whatever computes it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use concord_engine::change::{add, merge, retrain};
use concord_engine::settings::IndexSettings;
use concord_index::verify::verify;
use concord_kernels::compute::Compute;
use concord_pipeline::NoProgress;

use crate::bytes;
use crate::engine::options;
use crate::killing::{Change, kill_inside};
use crate::world::{World, adding, make, passages};

const SHARDS: usize = 16;
const PASSAGES: usize = 120;

/// The passages of each shard: as many as its number says, more or less, and none without any.
fn ranges() -> Vec<Range<usize>> {
    let end = |shard: usize| PASSAGES * shard * (shard + 3) / (SHARDS * (SHARDS + 3));
    (0..SHARDS)
        .map(|shard| end(shard)..end(shard + 1))
        .collect()
}

/// Engines of every number of threads on every instruction set that there is.
fn engines() -> Vec<String> {
    let isas = Compute::available();
    let isas = isas.iter().map(Compute::isa_name);
    isas.flat_map(|isa| [1, 2, 8].map(|threads| format!("native,threads={threads},isa={isa}")))
        .collect()
}

#[test]
fn sixteen_shards_merged_are_one_build_and_sixteen_pieces_added() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let world = World::new(&at("codec"), passages(30..60, "c"));
    world.shard(&at("built"), passages(0..PASSAGES, "p"));
    let of_tensors = |mut files: BTreeMap<String, Vec<u8>>| {
        files.remove("concord.json");
        files
    };
    let built = of_tensors(bytes(&at("built")));
    let engines = engines();
    assert!(engines.len() >= 6, "{engines:?}");

    // Each shard on another engine.
    let shards: Vec<PathBuf> = (0..SHARDS).map(|n| at(&format!("shard-{n}"))).collect();
    for ((range, out), engine) in ranges()
        .into_iter()
        .zip(&shards)
        .zip(engines.iter().cycle())
    {
        assert!(!range.is_empty());
        world.shard_by(engine, out, passages(range, "p"));
    }
    merge(&shards, &at("merged"), &NoProgress).unwrap();
    let expected = bytes(&at("merged"));
    assert_eq!(of_tensors(expected.clone()), built);
    assert_eq!(verify(&at("merged")).unwrap(), []);
    // Merged two by two, and these again.
    let mut level = shards;
    while level.len() > 1 {
        let pairs = level.chunks(2).enumerate().map(|(pair, of)| {
            let out = at(&format!("level-{}-{pair}", level.len()));
            merge(of, &out, &NoProgress).unwrap();
            out
        });
        level = pairs.collect();
    }
    assert_eq!(bytes(&level[0]), expected);

    for engine in &engines {
        let index = at("pieces");
        for (piece, range) in ranges().into_iter().enumerate() {
            let more = passages(range, "p");
            if piece == 0 {
                world.shard_by(engine, &index, more);
                continue;
            }
            if piece % 5 == 0 {
                let change = Change::Add {
                    passages: more.clone(),
                    replace: false,
                };
                kill_inside(&index, &change, piece - 4);
            }
            let mut adding = adding(&more);
            adding.compute = options(engine);
            add(&index, &adding, false, &NoProgress).unwrap();
        }
        assert_eq!(bytes(&index), expected, "{engine}");
        std::fs::remove_dir_all(&index).unwrap();
    }
}

#[test]
fn a_codec_is_trained_to_the_same_bits_on_whatever_computes_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let world = World::new(&at("base"), passages(0..30, "p"));
    make(
        &at("built"),
        &passages(0..PASSAGES, "p"),
        IndexSettings::default(),
    );
    for engine in engines() {
        let index = at("index");
        world.copy(&index);
        world
            .add(&index, passages(30..PASSAGES, "p"), false)
            .unwrap();
        let mut texts = adding(&passages(0..PASSAGES, "q"));
        texts.compute = options(&engine);
        retrain(&index, &texts, &NoProgress).unwrap();
        assert_eq!(bytes(&index), bytes(&at("built")), "{engine}");
        std::fs::remove_dir_all(&index).unwrap();
    }
}
