//! Indexes of embeddings that are given in files.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use concord_engine::build::{Layout, build};
use concord_engine::change::{ChangeError, add_embeddings, delete};
use concord_engine::embeddings::{
    EmbeddingFiles, EmbeddingsError, GivenError, GivenIndex, GivenPassages, GivenQueries,
    GivenSettings,
};
use concord_engine::open::{OpenError, OpenIndex, OpenOptions, SearchError};
use concord_engine::origin::Origin;
use concord_engine::rebuild::{RebuildError, rebuild_of_embeddings};
use concord_engine::settings::IndexSettings;
use concord_index::format::IndexManifest;
use concord_index::search::{Request, SearchOptions};
use concord_index::verify::verify;
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_model::hub::HubOptions;
use concord_pipeline::NoProgress;
use concord_pipeline::artifact::{D, DOCLENS};
use concord_tensor::{DType, Tensor, npy, pt, safetensors};
use half::f16;
use proptest::prelude::*;
use tempfile::TempDir;

use engine::{built, engine, evaluated, tensor};

/// What the engine makes of the golden collection: embeddings `(E, d)` in `f32`, and how many each passage has.
fn encoded() -> (Tensor, Vec<i64>) {
    let native = engine("native", IndexSettings::default()).unwrap();
    evaluated(&native, |evaluator| {
        let doclens = tensor(evaluator, DOCLENS, "")?;
        Ok((
            tensor(evaluator, D, "")?,
            doclens.as_slice::<i64>().unwrap().to_vec(),
        ))
    })
}

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn npy(&self, name: &str, tensor: &Tensor) -> PathBuf {
        let path = self.path(name);
        npy::write(&path, tensor).unwrap();
        path
    }

    fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The files of passages that are cut out of one tensor.
    fn cut(&self, embeddings: &Tensor, doclens: &[i64]) -> EmbeddingFiles {
        EmbeddingFiles {
            embeddings: vec![self.npy("embeddings.npy", embeddings)],
            doclens: Some(self.npy("doclens.npy", &Tensor::vector(doclens.to_vec()))),
            ids: None,
        }
    }
}

fn rows(rows: usize, width: usize, value: impl Fn(usize) -> f32) -> Tensor {
    let values: Vec<f32> = (0..rows * width).map(value).collect();
    Tensor::new(vec![rows, width], values).unwrap()
}

fn open(files: &EmbeddingFiles) -> Result<GivenPassages, EmbeddingsError> {
    GivenPassages::open(files)
}

fn index_of(files: &EmbeddingFiles, threads: usize, out: &Path) {
    let options = ComputeOptions::default().with_threads(threads.try_into().ok());
    let settings = GivenSettings {
        nbits: Some(1),
        ..GivenSettings::default()
    };
    let compute = Compute::new(&options).unwrap();
    let given = GivenIndex::new(open(files).unwrap(), settings, compute, &NoProgress).unwrap();
    build(
        &given,
        Layout::default(),
        &Origin::default(),
        out,
        &NoProgress,
    )
    .unwrap();
}

/// Every file of a folder but those that say where an index is from.
fn tensor_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| {
            let others = [
                "concord.json",
                "concord.log.json",
                "metadata.json",
                "plan.json",
                "passages.db",
            ];
            !others.contains(&name.as_str())
        })
        .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_index_of_the_engine_s_embeddings_has_the_files_of_the_index_of_the_texts() {
    let place = Place::new();
    let settings = IndexSettings {
        nbits: Some(1),
        kmeans_niters: Some(4),
        ..IndexSettings::default()
    };
    let of_texts = place.path("texts");
    built(
        &engine("native", settings).unwrap(),
        Layout::default(),
        &of_texts,
    );

    let (embeddings, doclens) = encoded();
    let width = embeddings.row_len();
    let mut passages: Vec<Tensor> = Vec::new();
    let mut first = 0;
    for &doclen in &doclens {
        passages.push(
            embeddings
                .slice_rows(first..first + doclen as usize)
                .unwrap(),
        );
        first += doclen as usize;
    }
    let half = doclens.len() / 2;
    let before: i64 = doclens[..half].iter().sum();
    let parts = [0..before as usize, before as usize..embeddings.rows()];
    let parts = parts.map(|part| embeddings.slice_rows(part).unwrap());

    let numbers: String = doclens.iter().map(|doclen| format!("{doclen}\n")).collect();
    let named: Vec<(String, Tensor)> = passages
        .iter()
        .enumerate()
        .map(|(at, passage)| (format!("p{at}"), passage.clone()))
        .collect();
    // In the order in which a library sorts names, which is not that of the numbers in them.
    let mut sorted = named.clone();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_ne!(
        sorted[2].0, named[2].0,
        "there are too few passages to tell"
    );
    safetensors::write(place.path("each.safetensors"), &sorted).unwrap();
    let values = passages.iter().cloned().map(pt::PtValue::Tensor).collect();
    pt::write(place.path("each.pt"), &pt::PtValue::List(values)).unwrap();

    let forms = [
        place.cut(&embeddings, &doclens),
        EmbeddingFiles {
            embeddings: vec![
                place.npy("first.npy", &parts[0]),
                place.npy("half.npy", &parts[1].cast(DType::F16).unwrap()),
            ],
            doclens: Some(place.text("doclens.txt", &numbers)),
            ids: None,
        },
        EmbeddingFiles {
            embeddings: vec![place.path("each.safetensors")],
            ..EmbeddingFiles::default()
        },
        EmbeddingFiles {
            embeddings: vec![place.path("each.pt")],
            ..EmbeddingFiles::default()
        },
    ];
    for (number, files) in forms.iter().enumerate() {
        for threads in [1, 2, 5] {
            let out = place.path(&format!("given-{number}-{threads}"));
            index_of(files, threads, &out);
            assert_eq!(tensor_files(&out), tensor_files(&of_texts), "{files:?}");
            assert_eq!(verify(&out).unwrap(), []);
        }
        let manifest = IndexManifest::read(&place.path(&format!("given-{number}-1")));
        let manifest = manifest.unwrap().unwrap();
        let compute = ComputeOptions::default();
        let again = rebuild_of_embeddings(&manifest, files, &compute, &NoProgress).unwrap();
        assert_eq!(
            (again.differing, again.compared),
            (Vec::new(), 17),
            "{width}"
        );
    }
}

#[test]
fn an_index_is_built_again_from_its_own_embeddings_alone() {
    let place = Place::new();
    let (embeddings, doclens) = encoded();
    let files = place.cut(&embeddings, &doclens);
    index_of(&files, 1, &place.path("index"));
    let manifest = IndexManifest::read(&place.path("index")).unwrap().unwrap();
    let mut others = embeddings.as_slice::<f32>().unwrap().to_vec();
    others[3] += 0.25;
    let others = Tensor::new(embeddings.shape().to_vec(), others).unwrap();
    let other = place.cut(&others, &doclens);
    let compute = ComputeOptions::default();
    let refused = rebuild_of_embeddings(&manifest, &other, &compute, &NoProgress);
    assert!(matches!(refused, Err(RebuildError::OtherInput(input)) if input == "embeddings"));
}

#[test]
fn embeddings_that_are_added_in_pieces_make_the_index_of_those_that_are_added_at_once() {
    let place = Place::new();
    let (embeddings, doclens) = encoded();
    let count = doclens.len();
    let ends: Vec<usize> = std::iter::once(0)
        .chain(doclens.iter().scan(0, |end, &doclen| {
            *end += doclen as usize;
            Some(*end)
        }))
        .collect();
    let some = |passages: std::ops::Range<usize>| {
        let rows = ends[passages.start]..ends[passages.end];
        let name = format!("{}-{}", passages.start, passages.end);
        let ids: String = passages.clone().map(|pid| format!("id {pid}\n")).collect();
        EmbeddingFiles {
            embeddings: vec![place.npy(
                &format!("{name}.npy"),
                &embeddings.slice_rows(rows).unwrap(),
            )],
            doclens: Some(place.npy(
                &format!("{name}.doclens.npy"),
                &Tensor::vector(doclens[passages].to_vec()),
            )),
            ids: Some(place.text(&format!("{name}.txt"), &ids)),
        }
    };
    let compute = || Compute::new(&ComputeOptions::default()).unwrap();
    let add = |index: &str, passages: std::ops::Range<usize>| {
        let given = open(&some(passages)).unwrap();
        add_embeddings(&place.path(index), given, compute(), false, &NoProgress)
    };
    let first = count / 2;
    for index in ["pieces", "once"] {
        index_of(&some(0..first), 1, &place.path(index));
    }
    for passage in first..count {
        add("pieces", passage..passage + 1).unwrap();
    }
    let report = add("once", first..count).unwrap();
    assert_eq!((report.added, report.passages), (count - first, count));
    let every = |index: &str| {
        let mut files: Vec<_> = fs::read_dir(place.path(index))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        files.retain(|name| name != "concord.log.json");
        files.sort();
        files
            .into_iter()
            .map(|name| {
                (
                    name.clone(),
                    fs::read(place.path(index).join(name)).unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(every("pieces"), every("once"));
    assert_eq!(verify(&place.path("once")).unwrap(), []);

    // What was added is found, and what is deleted is not.
    let hub = || OpenOptions::new(HubOptions::new(""));
    let last = embeddings.slice_rows(ends[count - 1]..ends[count]).unwrap();
    let (last, width) = (last.as_slice::<f32>().unwrap(), last.row_len());
    let options = SearchOptions::default();
    let exactly = Request {
        exact: true,
        ..Request::new(count, &options)
    };
    let found = |index: &str| {
        let index = OpenIndex::open_for_embeddings(&place.path(index), hub()).unwrap();
        let found = index.answer_embeddings(last, width, &exactly).unwrap();
        let ids = found
            .hits
            .iter()
            .map(|hit| index.documents().external_id(hit.pid).into_owned());
        ids.collect::<Vec<_>>()
    };
    let id = format!("id {}", count - 1);
    assert!(found("once").contains(&id));
    delete(&place.path("once"), [id.as_str()], &NoProgress).unwrap();
    assert!(!found("once").contains(&id));

    let again = add("pieces", 0..1);
    assert!(
        again
            .unwrap_err()
            .to_string()
            .contains("has a passage `id 0` already")
    );
    let wide = place.cut(&rows(4, 24, |_| 1.0), &[4]);
    let refused = add_embeddings(
        &place.path("pieces"),
        open(&wide).unwrap(),
        compute(),
        false,
        &NoProgress,
    );
    assert!(matches!(refused, Err(ChangeError::Width { found: 24, .. })));
    let of_texts = place.path("texts");
    built(
        &engine("native", IndexSettings::default()).unwrap(),
        Layout::default(),
        &of_texts,
    );
    let refused = add_embeddings(
        &of_texts,
        open(&some(0..1)).unwrap(),
        compute(),
        false,
        &NoProgress,
    );
    assert!(matches!(refused, Err(ChangeError::OfTexts)));
}

#[test]
fn queries_that_are_embeddings_find_what_their_texts_find() {
    let place = Place::new();
    let of_texts = place.path("texts");
    built(
        &engine("native", IndexSettings::default()).unwrap(),
        Layout::default(),
        &of_texts,
    );
    let hub = || HubOptions::new("");
    let checkpoint = golden::input("checkpoint").to_str().map(str::to_owned);
    let options = OpenOptions {
        checkpoint: checkpoint.clone(),
        ..OpenOptions::new(hub())
    };
    let texts = OpenIndex::open(&of_texts, options).unwrap();
    let query = "the fox and the bridge";
    let embeddings = texts.encoder().unwrap().encode(query).unwrap();

    let (given, doclens) = encoded();
    let width = given.row_len();
    let mut files = place.cut(&given, &doclens);
    let ids: String = (0..doclens.len())
        .map(|pid| format!("passage {pid}\n"))
        .collect();
    files.ids = Some(place.text("ids.txt", &ids));
    let settings = GivenSettings {
        nbits: texts
            .index()
            .setting("config.nbits")
            .unwrap()
            .as_u64()
            .map(|n| n as usize),
        kmeans_niters: texts
            .index()
            .setting("config.kmeans_niters")
            .unwrap()
            .as_u64()
            .map(|n| n as usize),
        ..GivenSettings::default()
    };
    let compute = Compute::new(&ComputeOptions::default()).unwrap();
    let of_given = GivenIndex::new(open(&files).unwrap(), settings, compute, &NoProgress).unwrap();
    let out = place.path("given");
    build(
        &of_given,
        Layout::default(),
        &Origin::default(),
        &out,
        &NoProgress,
    )
    .unwrap();
    let index = OpenIndex::open_for_embeddings(&out, OpenOptions::new(hub())).unwrap();

    let options = SearchOptions::default();
    for request in [
        Request::new(5, &options),
        Request {
            exact: true,
            ..Request::new(5, &options)
        },
    ] {
        let by_text = texts.answer(query, &request).unwrap();
        let by_embeddings = index
            .answer_embeddings(&embeddings, width, &request)
            .unwrap();
        assert_eq!(by_text, by_embeddings);
        assert_eq!(
            index.documents().external_id(by_text.hits[0].pid),
            format!("passage {}", by_text.hits[0].pid)
        );
    }
    let request = Request::new(5, &options);
    assert!(matches!(
        index.answer(query, &request),
        Err(SearchError::NoEncoder)
    ));
    let cut = index.answer_embeddings(&embeddings[1..], width, &request);
    assert!(matches!(cut, Err(SearchError::NotRows { .. })), "{cut:?}");
    // As many numbers as several embeddings of another width have.
    let wider = index.answer_embeddings(&embeddings, 2 * width, &request);
    assert!(matches!(wider, Err(SearchError::Width { .. })), "{wider:?}");
    let mut infinite = embeddings.clone();
    infinite[given.row_len()] = f32::INFINITY;
    let refused = index.answer_embeddings(&infinite, width, &request);
    assert!(
        matches!(refused, Err(SearchError::NotFinite(1))),
        "{refused:?}"
    );

    // Texts are searched if somebody says by which checkpoint.
    let unnamed = OpenIndex::open(&out, OpenOptions::new(hub()));
    assert!(matches!(unnamed, Err(OpenError::NoCheckpoint)));
    let options = OpenOptions {
        checkpoint,
        ..OpenOptions::new(hub())
    };
    let named = OpenIndex::open(&out, options).unwrap();
    assert!(
        named.notices()[0].contains("whether they are those of this checkpoint"),
        "{:?}",
        named.notices()
    );
    assert_eq!(
        named.answer(query, &request).unwrap(),
        texts.answer(query, &request).unwrap()
    );
}

#[test]
fn queries_are_read_from_every_form() {
    let place = Place::new();
    let one = rows(3, 16, |at| at as f32 + 1.0);
    let two = Tensor::new(
        vec![2, 3, 16],
        (1..97).map(|v| v as f32).collect::<Vec<f32>>(),
    )
    .unwrap();
    let lengths = |path: PathBuf| {
        let queries = GivenQueries::read(&path).unwrap();
        let each = queries.queries.into_iter();
        each.map(|query| (query.id, query.embeddings.len() / queries.width))
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(place.npy("one.npy", &one)), [("0".to_owned(), 3)]);
    let named = |id: &str, length| (id.to_owned(), length);
    assert_eq!(
        lengths(place.npy("two.npy", &two)),
        [named("0", 3), named("1", 3)]
    );
    let ragged = [
        ("q10".to_owned(), one.clone()),
        ("q9".to_owned(), rows(2, 16, |_| 1.0)),
    ];
    safetensors::write(place.path("ragged.safetensors"), &ragged).unwrap();
    assert_eq!(
        lengths(place.path("ragged.safetensors")),
        [named("q9", 2), named("q10", 3)]
    );
}

#[test]
fn what_cannot_be_indexed_is_named_in_one_line_and_nothing_is_written() {
    let place = Place::new();
    let good = rows(6, 16, |at| (at as f32).sin());
    let with = |at: usize, value: f32| {
        let mut values = good.as_slice::<f32>().unwrap().to_vec();
        values[at] = value;
        Tensor::new(vec![6, 16], values).unwrap()
    };
    let zero = {
        let mut values = good.as_slice::<f32>().unwrap().to_vec();
        values[32..48].fill(-0.0);
        Tensor::new(vec![6, 16], values).unwrap()
    };
    let said = |files: &EmbeddingFiles| {
        let compute = Compute::new(&ComputeOptions::default()).unwrap();
        let settings = GivenSettings::default();
        let index = open(files).map_err(GivenError::from);
        match index.and_then(|given| GivenIndex::new(given, settings, compute, &NoProgress)) {
            Ok(_) => panic!("{files:?} was taken"),
            Err(error) => error.to_string(),
        }
    };
    let cases: [(&str, Tensor, &[i64], &str); 8] = [
        (
            "nan",
            with(40, f32::NAN),
            &[2, 4],
            "embedding 0 of passage 1 is not finite (NaN)",
        ),
        (
            "infinite",
            with(5 * 16, f32::NEG_INFINITY),
            &[2, 4],
            "embedding 3 of passage 1 is not finite (-inf)",
        ),
        (
            "large",
            with(3, 1e6),
            &[2, 4],
            "embedding 0 of passage 0 is not finite once it is rounded",
        ),
        ("zero", zero, &[0, 2, 4], "embedding 0 of passage 2 is zero"),
        (
            "sum",
            good.clone(),
            &[2, 3],
            "adds up to 5 embeddings in 2 passages, and there are 6",
        ),
        (
            "negative",
            good.clone(),
            &[8, -2],
            "passage 1 cannot have -2 embeddings",
        ),
        (
            "narrow",
            rows(6, 8, |_| 1.0),
            &[6],
            "width 8: an index takes multiples of 8 from 16 to 1024",
        ),
        ("odd", rows(6, 20, |_| 1.0), &[6], "width 20"),
    ];
    for (name, embeddings, doclens, expected) in cases {
        let message = said(&place.cut(&embeddings, doclens));
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains('\n'));
    }
    let mut files = place.cut(&good, &[2, 4]);
    for (ids, expected) in [
        ("a\nb\nc\n", "has 3 ids, and there are 2 passages"),
        ("a\na\n", "the id \"a\" of line 1 comes again in line 2"),
        ("a\n\n", "line 2 is empty"),
    ] {
        files.ids = Some(place.text("ids.txt", ids));
        let message = said(&files);
        assert!(message.contains(expected), "{message}");
    }
    files.ids = Some(place.text("ids.txt", "first\nsecond\n"));
    place.npy("embeddings.npy", &with(40, f32::NAN));
    let message = said(&files);
    assert!(
        message.contains("embedding 0 of passage 1 (\"second\")"),
        "{message}"
    );
    files = place.cut(&good, &[2, 4]);
    files.doclens = None;
    assert!(said(&files).contains("give --doclens"));
    files = place.cut(&good, &[2, 4]);
    files
        .embeddings
        .push(place.npy("wider.npy", &rows(2, 24, |_| 1.0)));
    assert!(said(&files).contains("24 wide, and those before them 16"));
    files.embeddings = vec![place.npy(
        "whole.npy",
        &Tensor::new(vec![2, 16], vec![1i64; 32]).unwrap(),
    )];
    assert!(said(&files).contains("holds i64"));
    files.embeddings = vec![place.npy("none.npy", &rows(0, 16, |_| 1.0))];
    files.doclens = Some(place.text("none.txt", ""));
    assert!(said(&files).contains("there are no embeddings"));
    // A file that ends early.
    let whole = fs::read(place.npy("cut.npy", &good)).unwrap();
    fs::write(place.path("cut.npy"), &whole[..whole.len() - 3]).unwrap();
    files = place.cut(&good, &[6]);
    files.embeddings = vec![place.path("cut.npy")];
    assert!(said(&files).contains("cut.npy"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the files are cut into, what is given is what is in them, rounded once.
    #[test]
    fn files_are_read_as_one(
        doclens in prop::collection::vec(0i64..9, 1..40),
        cuts in prop::collection::vec(0.0f64..1.0, 0..4),
        width in (2usize..8).prop_map(|eights| 8 * eights),
        seed in 0u32..1000,
    ) {
        let total = doclens.iter().sum::<i64>() as usize;
        prop_assume!(total > 0);
        let value = |at: usize| ((at as f32 + seed as f32) * 0.7).sin() + 1.5;
        let all = rows(total, width, value);
        let place = Place::new();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * total as f64) as usize).collect();
        ends.push(total);
        ends.sort_unstable();
        let (mut first, mut embeddings) = (0, Vec::new());
        for (number, &end) in ends.iter().enumerate() {
            let part = all.slice_rows(first..end).unwrap();
            embeddings.push(place.npy(&format!("{number}.npy"), &part));
            first = end;
        }
        let files = EmbeddingFiles {
            embeddings,
            doclens: Some(place.text("doclens.json", &format!("{doclens:?}"))),
            ids: None,
        };
        let whole = place.cut(&all, &doclens);
        let (parts, whole) = (open(&files).unwrap(), open(&whole).unwrap());
        prop_assert_eq!(parts.embeddings(), total);
        prop_assert_eq!(parts.passages(), doclens.len());
        let hash = |passages: GivenPassages| {
            let compute = Compute::new(&ComputeOptions::default()).unwrap();
            let settings = GivenSettings { nbits: Some(1), ..GivenSettings::default() };
            use concord_engine::buildable::Buildable;
            GivenIndex::new(passages, settings, compute, &NoProgress).unwrap().inputs()
        };
        prop_assert_eq!(hash(parts), hash(whole));
        let rounded = all.cast(DType::F16).unwrap();
        prop_assert!(rounded.as_slice::<f16>().unwrap().iter().all(|value| value.is_finite()));
    }
}
