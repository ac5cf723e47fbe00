//! Indexes whose codec is trained anew, and changed ones that are built again.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::change::{
    ChangeError, compact, delete, merge, rebuild_changed, rebuild_changed_embeddings, retrain,
};
use concord_engine::embeddings::{EmbeddingFiles, GivenPassages};
use concord_engine::rebuild::{RebuildReport, rebuild};
use concord_engine::recorded::has_given_codec;
use concord_engine::settings::IndexSettings;
use concord_index::format::{Index, IndexManifest};
use concord_index::verify::verify;
use concord_kernels::compute::Compute;
use concord_pipeline::NoProgress;
use concord_tensor::{Tensor, npy};

use crate::bytes;
use crate::engine::{checkpoint, options};
use crate::world::{Passage, World, adding, adding_of, collection, make, passages, texts};

/// Everything that passages were ever made from, in another order and without their ids.
fn all_texts() -> Collection {
    let mut texts = texts();
    texts.reverse();
    Collection::from_passages(texts)
}

fn again(index: &Path, texts: &Collection) -> Result<RebuildReport, ChangeError> {
    let named = ("checkpoint", Arc::new(checkpoint()));
    let compute = options("native,batch=7,threads=1,isa=scalar");
    rebuild_changed(index, texts, named, &compute, &NoProgress)
}

/// That an index comes out the same from the texts, under its codec, if it is one of those.
fn comes_out_again(index: &Path) {
    let manifest = IndexManifest::read(index).unwrap().unwrap();
    assert!(has_given_codec(&manifest));
    let report = again(index, &all_texts()).unwrap();
    assert_eq!(report.differing, Vec::<String>::new());
    // Everything in the manifest of a changed index but its codec.
    assert!(report.compared >= 8 && report.codec_kept, "{report:?}");
}

#[test]
fn a_codec_trained_anew_is_that_of_an_index_of_the_passages_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let index = at("index");
    let world = World::new(&index, passages(0..30, "p"));
    world.add(&index, passages(30..80, "p"), false).unwrap();
    delete(&index, ["p3", "p70"], &NoProgress).unwrap();
    comes_out_again(&index);
    compact(&index, &NoProgress).unwrap();
    let other = vec![("p5".to_owned(), texts()[100].clone())];
    world.add(&index, other, true).unwrap();
    comes_out_again(&index);

    let gone = ["p3", "p5", "p70"];
    let left = passages(0..80, "p").into_iter();
    let mut left: Vec<Passage> = left
        .filter(|(id, _)| !gone.contains(&id.as_str()))
        .collect();
    left.push(("p5".to_owned(), texts()[100].clone()));
    let before = bytes(&index);
    let refused = retrain(&index, &adding(&left[1..]), &NoProgress);
    assert!(
        matches!(&refused, Err(ChangeError::NoText { id }) if id == "p0"),
        "{refused:?}"
    );
    assert_eq!(bytes(&index), before);

    let mut given = adding_of(all_texts());
    given.compute = options("native,batch=3,threads=2");
    let report = retrain(&index, &given, &NoProgress).unwrap();
    assert_eq!(
        (report.passages, report.dropped, report.deleted),
        (78, 1, 0)
    );
    assert!(report.retrained);
    make(&at("built"), &left, IndexSettings::default());
    assert_eq!(bytes(&index), bytes(&at("built")));
    // Once more there is nothing to do, and what is added goes by the new codec.
    retrain(&index, &given, &NoProgress).unwrap();
    assert_eq!(bytes(&index), bytes(&at("built")));
    world.add(&index, passages(90..95, "q"), false).unwrap();
    comes_out_again(&index);
    assert_eq!(verify(&index).unwrap(), []);
}

#[test]
fn numbers_stay_numbers_unless_some_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let plain = |texts: &[String]| Collection::from_passages(texts);
    let (texts, index) = (texts(), at("index"));
    let built = |name: &str, collection: Collection| {
        let native = crate::engine_over(collection, "native", IndexSettings::default()).unwrap();
        crate::built(&native, concord_engine::build::Layout::default(), &at(name));
        bytes(&at(name))
    };
    built("index", plain(&texts[..20]));
    let more = adding_of(plain(&texts[20..50]));
    concord_engine::change::add(&index, &more, false, &NoProgress).unwrap();
    let all = adding_of(plain(&texts[..50]));
    retrain(&index, &all, &NoProgress).unwrap();
    assert_eq!(bytes(&index), built("all", plain(&texts[..50])));

    // The last ones, so that the numbers of the others are what they were: they are ids all the same.
    delete(&index, ["48", "49"], &NoProgress).unwrap();
    retrain(&index, &all, &NoProgress).unwrap();
    let ids = (0..48).map(|id: usize| id.to_string());
    let named = plain(&texts[..48]).named(ids).unwrap();
    assert_eq!(bytes(&index), built("left", named));
}

#[test]
fn as_many_centroids_as_were_asked_for_stay_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let settings = IndexSettings {
        partitions: NonZeroUsize::new(77),
        ..IndexSettings::default()
    };
    let centroids = |index: &Path| Index::open(index).unwrap().centroids();
    let index = at("index");
    make(&index, &passages(0..30, "p"), settings.clone());
    assert_eq!(centroids(&index), 77);
    let manifest = IndexManifest::read(&index).unwrap().unwrap();
    let once_more = rebuild(
        &manifest,
        Arc::new(checkpoint()),
        collection(&passages(0..30, "p")),
        options("native"),
        &NoProgress,
    );
    assert_eq!(once_more.unwrap().differing, Vec::<String>::new());
    World::at(&index)
        .add(&index, passages(30..60, "p"), false)
        .unwrap();
    // The plan of a changed index is that of one that is built with its codec.
    comes_out_again(&index);
    retrain(&index, &adding_of(all_texts()), &NoProgress).unwrap();
    make(&at("built"), &passages(0..60, "p"), settings);
    assert_eq!(bytes(&index), bytes(&at("built")));
}

#[test]
fn shards_and_merged_indexes_come_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let world = World::new(&at("base"), passages(0..30, "p"));
    world.shard(&at("shard"), passages(30..50, "p"));
    comes_out_again(&at("shard"));
    merge(&[at("base"), at("shard")], &at("merged"), &NoProgress).unwrap();
    delete(&at("merged"), ["p0", "p31", "p49"], &NoProgress).unwrap();
    comes_out_again(&at("merged"));
    let others = Collection::from_passages(texts().into_iter().skip(2));
    let refused = again(&at("merged"), &others);
    assert!(
        matches!(&refused, Err(ChangeError::NoText { id }) if id == "p1"),
        "{refused:?}"
    );
    // One text that is another, under the hash of the one that was indexed.
    let manifest = IndexManifest::read(&at("merged")).unwrap().unwrap();
    assert!(has_given_codec(&manifest));
    let base = IndexManifest::read(&at("base")).unwrap().unwrap();
    assert!(!has_given_codec(&base));
}

/// Embeddings of so many passages of 1 to 5, `first` passages into an endless row of them, in files with ids.
fn given(folder: &Path, name: &str, first: usize, passages: usize) -> EmbeddingFiles {
    let doclens: Vec<i64> = (first..first + passages)
        .map(|p| 1 + (p % 5) as i64)
        .collect();
    let value = |passage: usize, at: usize| (((passage * 911 + at) % 10_007) as f32 * 0.7).sin();
    let values = (first..first + passages).zip(&doclens);
    let values = values
        .flat_map(|(passage, &doclen)| (0..doclen as usize * 16).map(move |at| value(passage, at)));
    let values: Vec<f32> = values.collect();
    let path = |what: &str| folder.join(format!("{name}.{what}"));
    let rows = values.len() / 16;
    npy::write(path("npy"), &Tensor::new(vec![rows, 16], values).unwrap()).unwrap();
    let text = |lines: Vec<String>| lines.join("\n") + "\n";
    let lengths = doclens.iter().map(i64::to_string).collect();
    std::fs::write(path("txt"), text(lengths)).unwrap();
    let ids = (first..first + passages)
        .map(|id| format!("e{id}"))
        .collect();
    std::fs::write(path("ids"), text(ids)).unwrap();
    EmbeddingFiles {
        embeddings: vec![path("npy")],
        doclens: Some(path("txt")),
        ids: Some(path("ids")),
    }
}

fn index_of(files: &EmbeddingFiles, out: &Path) {
    let passages = GivenPassages::open(files).unwrap();
    let index = concord_engine::embeddings::GivenIndex::new(
        passages,
        Default::default(),
        Compute::fastest(),
        &NoProgress,
    );
    let origin = concord_engine::origin::Origin::default();
    concord_engine::build::build(
        &index.unwrap(),
        Default::default(),
        &origin,
        out,
        &NoProgress,
    )
    .unwrap();
}

#[test]
fn given_embeddings_are_found_by_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let files = |name: &str, first, passages| given(folder.path(), name, first, passages);
    let open = |files: &EmbeddingFiles| GivenPassages::open(files).unwrap();
    let index = at("index");
    index_of(&files("base", 5, 40), &index);
    concord_engine::change::add_embeddings(
        &index,
        open(&files("more", 45, 25)),
        Compute::fastest(),
        false,
        &NoProgress,
    )
    .unwrap();
    let gone: Vec<String> = (5..20)
        .chain([44, 45, 69])
        .map(|id| format!("e{id}"))
        .collect();
    delete(&index, gone.iter().map(String::as_str), &NoProgress).unwrap();
    // More than there are, from the first on.
    let all = files("all", 0, 80);
    let again = |files: &EmbeddingFiles| {
        rebuild_changed_embeddings(&index, open(files), Compute::fastest(), &NoProgress)
    };
    let report = again(&all).unwrap();
    assert_eq!((report.compared, report.differing), (8, Vec::new()));
    let refused = again(&files("few", 30, 39));
    assert!(matches!(&refused, Err(ChangeError::NoEmbeddings { id }) if id == "e20"));

    // Other embeddings under the same ids.
    let mut altered = files("altered", 0, 80);
    let mut values: Vec<f32> = (0..237 * 16).map(|at| ((at * at) as f32).cos()).collect();
    values.resize(240 * 16, 1.0);
    npy::write(
        at("other.npy"),
        &Tensor::new(vec![240, 16], values).unwrap(),
    )
    .unwrap();
    altered.embeddings = vec![at("other.npy")];
    let report = again(&altered).unwrap();
    assert!(
        report.differing.contains(&"residuals".to_owned()),
        "{report:?}"
    );
    altered.doclens = Some(at("three"));
    std::fs::write(at("three.txt"), "3\n".repeat(80)).unwrap();
    altered.doclens = Some(at("three.txt"));
    let refused = again(&altered);
    assert!(matches!(
        refused,
        Err(ChangeError::OtherLength {
            found: 3,
            expected: 1,
            ..
        })
    ));

    concord_engine::change::retrain_embeddings(&index, open(&all), Compute::fastest(), &NoProgress)
        .unwrap();
    // Those that are left, in one piece after another.
    let parts = [files("a", 20, 24), files("b", 46, 23)];
    let joined = |name: &str, file: fn(&EmbeddingFiles) -> &Path| {
        let texts = parts
            .iter()
            .map(|part| std::fs::read_to_string(file(part)).unwrap());
        std::fs::write(at(name), texts.collect::<String>()).unwrap();
        Some(at(name))
    };
    let left = EmbeddingFiles {
        embeddings: parts
            .iter()
            .map(|part| part.embeddings[0].clone())
            .collect(),
        doclens: joined("left.txt", |part| part.doclens.as_deref().unwrap()),
        ids: joined("left.ids", |part| part.ids.as_deref().unwrap()),
    };
    index_of(&left, &at("built"));
    assert_eq!(bytes(&index), bytes(&at("built")));
}
