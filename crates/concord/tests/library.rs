//! The library through its front door.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use concord::{
    Builder, Built, Checkpoint, Error, OpenOptions, Precision, Request, SearchOptions, Searcher,
    diff, rebuild, verify,
};
use tempfile::TempDir;

/// A file of the golden values: a tiny checkpoint and 120 passages.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

fn checkpoint() -> Checkpoint {
    Checkpoint::load(golden("checkpoint")).unwrap()
}

/// The index of the golden collection as `set` has the builder build it.
fn built(set: impl FnOnce(Builder) -> Builder) -> (TempDir, PathBuf, Built) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let builder = set(Builder::new(&checkpoint()));
    let report = builder.build(golden("collection.tsv"), &out).unwrap();
    (folder, out, report)
}

fn number(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn flip_a_byte(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    // Behind the header of the archive, where the values are.
    bytes[400] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn an_index_is_the_same_for_any_batch_size_and_number_of_threads() {
    let (_a, one, report) = built(|builder| builder.batch(number(1)).threads(number(1)));
    let (_b, other, _) = built(|builder| builder.batch(number(50)).threads(number(3)));
    assert_eq!(report.passages, 120);
    assert!(diff(&one, &other).unwrap().same());
    for entry in fs::read_dir(&one).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "concord.log.json" {
            assert_eq!(
                fs::read(one.join(&name)).unwrap(),
                fs::read(other.join(&name)).unwrap(),
                "{}",
                name.display()
            );
        }
    }
}

#[test]
fn a_searcher_is_shared_by_threads_that_all_find_the_same() {
    let (folder, index, _) = built(|builder| builder.nbits(4));
    let searcher = Searcher::open(&index).unwrap();
    drop(folder); // It owns what it needs.
    let query = "the museum opens on sunday";
    let alone = searcher.search(query, 10).unwrap();
    assert_eq!(alone.len(), 10);
    assert!(alone.is_sorted_by(|a, b| (b.score, a.pid) <= (a.score, b.pid)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let searcher = searcher.clone();
            std::thread::spawn(move || searcher.search(query, 10).unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), alone);
    }
    let all = searcher.search_all(&[query, "rain", query], 10).unwrap();
    assert_eq!((&all[0], &all[2]), (&alone, &alone));
    assert_eq!(all[1], searcher.search("rain", 10).unwrap());
}

#[test]
fn a_hit_has_the_text_of_its_passage() {
    let (_folder, index, _) = built(|builder| builder);
    let searcher = Searcher::open(&index).unwrap();
    let collection = fs::read_to_string(golden("collection.tsv")).unwrap();
    let line = collection.lines().find(|line| line.starts_with("100\t"));
    let text = line.unwrap().split_once('\t').unwrap().1;
    assert_eq!(searcher.text(100), Some(text));
    let hits = searcher.search(text, 3).unwrap();
    assert_eq!((hits[0].pid, hits[0].id.as_str()), (100, "100"));
    assert_eq!(searcher.passages(), 120);
    assert!(searcher.notices().is_empty());
}

#[test]
fn passages_in_memory_are_indexed_and_have_their_places_as_ids() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let passages = ["rain on the roof", "a museum on sunday", "the last train"];
    let built = Builder::new(&checkpoint()).build_passages(passages, &out);
    assert_eq!(built.unwrap().passages, 3);
    let searcher = Searcher::open(&out).unwrap();
    let hits = searcher.search("the last train", 3).unwrap();
    assert_eq!(hits[0].id, "2");
    assert_eq!(searcher.text(2), None);
    assert!(searcher.notices().is_empty());
}

#[test]
fn an_index_that_is_there_already_is_left_and_another_one_is_not_overwritten() {
    let (_folder, out, first) = built(|builder| builder);
    assert!(!first.already_there);
    let build = |builder: Builder| builder.build(golden("collection.tsv"), &out);
    assert!(build(Builder::new(&checkpoint())).unwrap().already_there);
    let error = build(Builder::new(&checkpoint()).nbits(1)).unwrap_err();
    assert!(matches!(error, Error::Build(_)), "{error}");
    assert!(error.to_string().contains("nbits"), "{error}");
}

#[test]
fn progress_is_told_stage_by_stage() {
    let stages = Arc::new(Mutex::new(BTreeSet::new()));
    let heard = Arc::clone(&stages);
    built(move |builder| {
        builder.on_progress(move |step| {
            assert!(step.done <= step.total, "{step:?}");
            heard.lock().unwrap().insert(step.stage.to_owned());
        })
    });
    let stages = stages.lock().unwrap();
    for stage in ["tokenize", "encode", "cluster", "compress"] {
        assert!(stages.contains(stage), "{stages:?}");
    }
}

#[test]
fn an_index_is_searched_only_with_the_checkpoint_it_was_built_with() {
    let (folder, index, _) = built(|builder| builder);
    let other = OpenOptions {
        checkpoint: Some(concord::EMBEDDED.to_owned()),
        ..OpenOptions::default()
    };
    let error = Searcher::open_with(&index, other).err().unwrap();
    assert!(error.to_string().contains(concord::EMBEDDED), "{error}");
    let other = OpenOptions {
        collection: Some(folder.path().join("other.tsv")),
        ..OpenOptions::default()
    };
    fs::write(folder.path().join("other.tsv"), "0\tanother text\n").unwrap();
    let error = Searcher::open_with(&index, other).err().unwrap();
    assert!(error.to_string().contains("other.tsv"), "{error}");
}

#[test]
fn queries_are_encoded_in_the_precision_of_the_index() {
    let (_a, int8, _) = built(|builder| builder.precision(Precision::Int8));
    let query = "the museum opens on sunday";
    let scores = |precision| {
        let options = OpenOptions {
            precision,
            ..OpenOptions::default()
        };
        let searcher = Searcher::open_with(&int8, options).unwrap();
        let hits = searcher.search(query, 5).unwrap().into_iter();
        hits.map(|hit| hit.score.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(scores(None), scores(Some(Precision::Int8)));
    assert_ne!(scores(None), scores(Some(Precision::F32)));
}

#[test]
fn a_query_that_is_too_long_says_what_it_loses_and_can_be_given_room() {
    let (_folder, index, _) = built(|builder| builder);
    let query = "the museum opens on sunday ".repeat(3);
    let searcher = |query_maxlen| {
        let options = OpenOptions {
            query_maxlen,
            ..OpenOptions::default()
        };
        Searcher::open_with(&index, options)
    };
    let (cut, whole) = (searcher(None).unwrap(), searcher(Some(64)).unwrap());
    assert!(cut.lost_tokens(&query).unwrap() > 0);
    assert_eq!(cut.lost_tokens("the museum").unwrap(), 0);
    assert_eq!(whole.lost_tokens(&query).unwrap(), 0);
    assert_ne!(
        cut.search(&query, 3).unwrap(),
        whole.search(&query, 3).unwrap()
    );
    assert!(matches!(searcher(Some(5000)), Err(Error::Open(_))));
    assert!(matches!(cut.search(" ", 3), Err(Error::Query(_))));
}

#[test]
fn an_index_of_a_later_contract_is_refused() {
    let (_folder, index, _) = built(|builder| builder);
    let manifest = index.join("concord.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let at = text.find("\"contract\"").unwrap();
    let (before, after) = text.split_at(at);
    let end = after.find(',').unwrap();
    // Without the hash of its own, which would have to be another one.
    let hash = after.rfind(",\n  \"hash\"").unwrap();
    fs::write(
        &manifest,
        format!("{before}\"contract\": 99{}\n}}\n", &after[end..hash]),
    )
    .unwrap();
    let error = Searcher::open(&index).err().unwrap().to_string();
    assert!(error.contains("contract 99"), "{error}");
}

#[test]
fn more_of_an_index_can_be_looked_at() {
    let (_folder, index, _) = built(|builder| builder);
    let searcher = Searcher::open(&index).unwrap();
    let all = SearchOptions {
        ncells: Some(1_000),
        centroid_score_threshold: Some(-1.0),
        ndocs: Some(100_000),
        ..searcher.search_options()
    };
    let found = searcher.search_with("rain", 1_000, &all).unwrap();
    // Every passage that has embeddings.
    assert!(found.len() > 100, "{}", found.len());
}

#[test]
fn an_exact_search_among_some_passages_says_how_many_it_scored() {
    let (_folder, index, _) = built(|builder| builder);
    let searcher = Searcher::open(&index).unwrap();
    let some: Vec<String> = (0..40).map(|pid| pid.to_string()).collect();
    let ids = searcher.search("rain", 1).unwrap();
    let ids = some.iter().chain([&ids[0].id]);
    let known: Vec<&String> = ids.filter(|id| searcher.among([id]).is_ok()).collect();
    let among = searcher.among(&known).unwrap();
    let options = searcher.search_options();
    let request = Request {
        exact: true,
        among: Some(&among),
        ..Request::new(5, &options)
    };
    let answer = searcher.answer("rain", &request).unwrap();
    assert_eq!(answer.searched, among.len());
    assert!(answer.scored >= answer.hits.len());
    assert_eq!(answer.hits.len(), 5.min(among.len()));
    assert!(answer.hits.iter().all(|hit| among.contains(hit.pid)));
    let error = searcher.among(["no such passage"]).unwrap_err();
    assert!(matches!(error, Error::UnknownId(_)), "{error}");
}

#[test]
fn a_changed_byte_is_found_by_verify_by_diff_and_by_a_searcher() {
    let (_a, whole, _) = built(|builder| builder);
    let (_b, damaged, _) = built(|builder| builder);
    let verified = verify(&damaged).unwrap();
    assert!(verified.findings.is_empty() && verified.files > 5);
    flip_a_byte(&damaged.join("0.residuals.pt"));
    let findings = verify(&damaged).unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].to_string().contains("0.residuals.pt"));
    // The manifest still says what it said.
    let compared = diff(&whole, &damaged).unwrap();
    let different: Vec<_> = compared.artifacts.iter().filter(|a| !a.same).collect();
    assert_eq!(different.len(), 1);
    assert_eq!(different[0].name, "residuals");
    let error = Searcher::open(&damaged).err().unwrap().to_string();
    assert!(error.contains("0.residuals.pt"), "{error}");
}

#[test]
fn an_altered_record_is_found_and_settings_are_compared() {
    let (_a, whole, _) = built(|builder| builder);
    assert!(verify(&whole).unwrap().manifest_has_hash);
    let (_b, altered, _) = built(|builder| builder);
    let manifest = altered.join("concord.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("12345", "12344", 1)).unwrap();
    let verified = verify(&altered).unwrap();
    assert_eq!(verified.findings.len(), 1);
    assert!(verified.findings[0].to_string().contains("concord.json"));
    assert!(matches!(diff(&whole, &altered), Err(Error::Compare(_))));
    assert!(matches!(Searcher::open(&altered), Err(Error::Open(_))));

    // An index without a record is compared by its files and its settings.
    fs::remove_file(&manifest).unwrap();
    assert!(!diff(&whole, &altered).unwrap().same());
    fs::remove_file(altered.join("concord.log.json")).unwrap();
    assert!(diff(&whole, &altered).unwrap().same());
    let metadata = altered.join("metadata.json");
    let text = fs::read_to_string(&metadata).unwrap();
    fs::write(&metadata, text.replacen("\"nbits\": 2", "\"nbits\": 4", 1)).unwrap();
    let compared = diff(&whole, &altered).unwrap();
    assert!(!compared.same() && compared.artifacts.iter().all(|artifact| artifact.same));
    let setting = &compared.settings[0];
    assert_eq!(
        (
            setting.name.as_str(),
            setting.a.as_deref(),
            setting.b.as_deref()
        ),
        ("nbits", Some("2"), Some("4"))
    );
    // Nor is one the same as itself of which a byte was altered, be it one that holds no value.
    let plan = whole.join("plan.json");
    let text = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, text.replacen("    ", "\t", 1)).unwrap();
    let compared = diff(&whole, &whole).unwrap();
    assert!(!compared.same() && compared.damage.iter().all(Option::is_some));
}

#[test]
fn an_index_is_replaced_by_a_builder_that_was_told_to() {
    let (_folder, index, _) = built(|builder| builder);
    let before = Searcher::open(&index).unwrap();
    let build = |replace| {
        let builder = Builder::new(&checkpoint()).nbits(4).replace(replace);
        builder.build(golden("collection.tsv"), &index)
    };
    assert!(matches!(build(false), Err(Error::Build(_))));
    assert!(!build(true).unwrap().already_there);
    assert!(build(true).unwrap().already_there);
    let after = Searcher::open(&index).unwrap();
    let [old, new] = [&before, &after].map(|searcher| searcher.search("rain", 5).unwrap());
    assert_ne!(old, new, "an open searcher keeps what it has");
    assert!(verify(&index).unwrap().findings.is_empty());
}

#[test]
fn an_index_of_the_reference_compares_with_the_same_cut_otherwise() {
    let reference = golden("torch-1.13.1/index");
    assert!(diff(&reference, &reference).unwrap().same());
    let (_folder, ours, _) = built(|builder| builder);
    let compared = diff(&reference, &ours).unwrap();
    assert!(!compared.same());
    let doclens = compared.artifacts.iter().find(|a| a.name == "doclens");
    assert!(doclens.unwrap().same);
    assert!(matches!(verify(&reference), Err(Error::Verify(_))));
}

#[test]
fn lengths_that_cannot_be_counted_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("index");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(golden("torch-1.13.1/index")).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let most = i64::MAX;
    fs::write(
        copy.join("doclens.0.json"),
        format!("[{most}, {most}, 2, 9]"),
    )
    .unwrap();
    let options = OpenOptions {
        checkpoint: Some(golden("checkpoint").display().to_string()),
        ..OpenOptions::default()
    };
    let error = Searcher::open_with(&copy, options).err().unwrap();
    assert!(error.to_string().contains("doclens"), "{error}");
}

#[test]
fn an_index_is_computed_again_from_what_it_was_made_of() {
    let (_folder, index, _) = built(|builder| builder.nbits(1).seed(7));
    let rebuilt = rebuild(&index, golden("collection.tsv"), &checkpoint()).unwrap();
    assert!(
        rebuilt.compared > 15 && rebuilt.differing.is_empty(),
        "{rebuilt:?}"
    );
    let error = rebuild(&index, golden("queries.tsv"), &checkpoint()).unwrap_err();
    assert!(matches!(error, Error::Rebuild(_)), "{error}");
}

#[test]
fn what_is_not_there_is_named() {
    let error = Checkpoint::load("no/such/folder")
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("no/such/folder"), "{error}");
    let error = Searcher::open("no-such-index").err().unwrap().to_string();
    assert!(error.contains("no-such-index"), "{error}");
    let builder = Builder::new(&checkpoint());
    let error = builder.build("no-such-collection.tsv", "out").unwrap_err();
    assert!(
        error.to_string().contains("no-such-collection.tsv"),
        "{error}"
    );
    assert!(!Path::new("out").exists());
}

#[test]
fn every_type_can_go_to_another_thread() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Checkpoint>();
    shared::<Builder>();
    shared::<Searcher>();
    fn sent<T: Send + Sync + 'static>() {}
    sent::<Error>();
}

#[test]
fn passages_are_searched_among_those_that_conditions_choose() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("m.jsonl"), folder.path().join("index"));
    let line = |n: usize| {
        format!(
            "{{\"_id\":{n},\"n\":{n},\"even\":{}}}\n",
            n.is_multiple_of(2)
        )
    };
    fs::write(&file, (0..120).map(line).collect::<String>()).unwrap();
    let builder = Builder::new(&checkpoint()).metadata(&file);
    builder.build(golden("collection.tsv"), &out).unwrap();
    let searcher = Searcher::open(&out).unwrap();
    // What was opened stays what it was, also where another index is put in its place before the first question.
    fs::write(
        &file,
        (0..120)
            .map(|n| format!("{{\"_id\":{n}}}\n"))
            .collect::<String>(),
    )
    .unwrap();
    let builder = Builder::new(&checkpoint()).metadata(&file).replace(true);
    builder.build(golden("collection.tsv"), &out).unwrap();

    let mut few = searcher
        .among_where("even = TRUE AND n BETWEEN 10 AND 20")
        .unwrap();
    assert_eq!(few.len(), 6);
    few.keep(&searcher.among(["12", "13", "20"]).unwrap());
    let request = Request {
        exact: true,
        among: Some(&few),
        ..Request::new(10, &searcher.search_options())
    };
    let answer = searcher.answer("rain on the river", &request).unwrap();
    let ids: BTreeSet<&str> = answer.hits.iter().map(|hit| hit.id.as_str()).collect();
    assert_eq!(ids, BTreeSet::from(["12", "20"]));
    let none = searcher.among_where("n > 1000").unwrap();
    for exact in [false, true] {
        let request = Request {
            exact,
            among: Some(&none),
            ..request
        };
        assert_eq!(searcher.answer("river", &request).unwrap().hits, []);
    }
    let fields = searcher.fields().unwrap();
    assert_eq!((fields.len(), fields[1].name.as_str()), (2, "n"));
    assert_eq!(fields[1].kinds, [(concord::Kind::Number, 120)]);
    let object = searcher.metadata(7).unwrap();
    assert_eq!(object.as_deref(), Some(r#"{"even":false,"n":7}"#));
    for conditions in ["m > 1", "n > 'x'", "n >"] {
        let error = searcher.among_where(conditions).unwrap_err();
        assert!(matches!(error, Error::Filter(_)), "{error}");
    }
    let empty = Searcher::open(&out).unwrap();
    assert_eq!(empty.fields().unwrap(), []);
    assert_eq!(empty.metadata(7).unwrap(), None);
}
