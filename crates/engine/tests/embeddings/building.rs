//! What indexes are built of embeddings.

use concord_engine::build::Layout;
use concord_engine::embeddings::EmbeddingFiles;
use concord_engine::log::BuildLog;
use concord_engine::rebuild::{RebuildError, rebuild_of_embeddings};
use concord_engine::settings::IndexSettings;
use concord_index::format::IndexManifest;
use concord_index::verify::verify;
use concord_kernels::compute::ComputeOptions;
use concord_pipeline::NoProgress;
use concord_tensor::{DType, Tensor, pt, safetensors};

use crate::engine::{built, engine};
use crate::given::{Place, encoded, index_of, rows, tensor_files};

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
    let other_files = other.embeddings.clone();
    let compute = ComputeOptions::default();
    let refused = rebuild_of_embeddings(&manifest, &other, &compute, &NoProgress);
    let Err(RebuildError::OtherEmbeddings(other)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (other.passages, other.files),
        (0..doclens.len(), other_files)
    );
}

#[test]
fn the_file_that_is_another_is_named() {
    let place = Place::new();
    let values = rows(1200, 16, |at| (at as f32 * 0.3).sin());
    let parts = [0..700, 700..1000, 1000..1200].map(|part| values.slice_rows(part).unwrap());
    let names = ["a.npy", "b.npy", "c.npy"];
    let files = EmbeddingFiles {
        embeddings: names
            .iter()
            .zip(&parts)
            .map(|(name, part)| place.npy(name, part))
            .collect(),
        doclens: Some(place.text("doclens.txt", &"1\n".repeat(1200))),
        ids: None,
    };
    index_of(&files, 1, &place.path("index"));
    let manifest = IndexManifest::read(&place.path("index")).unwrap().unwrap();
    let again = || {
        let compute = ComputeOptions::default();
        rebuild_of_embeddings(&manifest, &files, &compute, &NoProgress)
    };
    assert_eq!(again().unwrap().differing, Vec::<String>::new());
    place.npy("c.npy", &rows(200, 16, |at| (at as f32 * 0.3).cos()));
    let error = again().unwrap_err();
    let expected = format!(
        "1000 to 1199 some are others or have another length, and those lie in {}",
        place.path("c.npy").display()
    );
    assert!(error.to_string().ends_with(&expected), "{error}");
    place.npy("b.npy", &rows(300, 16, |at| (at as f32 * 0.3).cos()));
    let Err(RebuildError::OtherEmbeddings(other)) = again() else {
        panic!("it was taken");
    };
    // One of a thousand passages is as good as all of them: both files have some.
    assert_eq!(
        (other.passages, &other.files[..]),
        (0..1000, &files.embeddings[..2])
    );
}

#[test]
fn the_log_says_how_long_it_took_to_read() {
    let place = Place::new();
    let (embeddings, doclens) = encoded();
    let out = place.path("index");
    index_of(&place.cut(&embeddings, &doclens), 1, &out);
    let log = BuildLog::read(&out).unwrap();
    let stages = &log.stages;
    let own: f64 = stages.values().map(|stage| stage.seconds).sum();
    assert!(
        stages["read"].seconds > 0.0 && own <= log.seconds,
        "{log:?}"
    );
}
