//! Indexes of embeddings added to and searched.

use std::fs;

use concord_engine::build::{Layout, build};
use concord_engine::change::{ChangeError, add_embeddings, delete};
use concord_engine::embeddings::{EmbeddingFiles, GivenIndex, GivenSettings};
use concord_engine::open::{OpenError, OpenIndex, OpenOptions, SearchError};
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_index::search::{Request, SearchOptions};
use concord_index::verify::verify;
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_model::hub::HubOptions;
use concord_pipeline::NoProgress;
use concord_tensor::Tensor;

use crate::engine::{built, engine};
use crate::given::{Place, encoded, index_of, open, rows};
use crate::golden;

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
