//! The tensors of a checkpoint: which are needed, and how they may be stored.

#![allow(clippy::unwrap_used)]

mod tiny_checkpoint;

use concord_kernels::compute::Compute;
use concord_model::checkpoint::{CheckpointError, Weights, WeightsError};
use concord_model::encoder::{BuildError, Encoder};
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::query::{QueryEncoder, QueryError};
use concord_tensor::{DType, Tensor, pt};
use proptest::prelude::*;
use tiny_checkpoint::{Folder, Named, architecture, state_dict, tensors, without};

#[test]
fn every_storage_of_the_same_numbers_is_the_same_checkpoint() {
    let folder = Folder::new();
    let hash = folder.load().unwrap().hash();
    for dtype in [DType::F16, DType::BF16] {
        let cast = |(name, tensor): (String, Tensor)| (name, tensor.cast(dtype).unwrap());
        folder.save(&tensors().into_iter().map(cast).collect());
        let checkpoint = folder.load().unwrap();
        assert!(
            checkpoint
                .weights()
                .iter()
                .all(|(_, tensor)| tensor.dtype() == DType::F32)
        );
        assert_eq!(checkpoint.hash(), hash);
    }
    folder.remove("model.safetensors");
    pt::write(folder.path("pytorch_model.bin"), &state_dict(tensors())).unwrap();
    assert_eq!(folder.load().unwrap().hash(), hash);
}

/// A scale that `f16` holds.
fn four_bit_scale(at: usize) -> f32 {
    0.75 / (1 << (at % 7)) as f32
}

/// The tensors with every matrix of the encoder in four bits, each row's halves with a scale each.
fn in_four_bits() -> Named {
    let mut named = Named::new();
    for (name, tensor) in tensors() {
        let (rows, columns) = match *tensor.shape() {
            [rows, columns] if name != "linear.weight" => (rows, columns),
            _ => {
                named.push((name, tensor));
                continue;
            }
        };
        let levels = (0..rows * columns / 2).map(|at| (at * 37 % 256) as u8);
        let levels = Tensor::new([rows, columns / 2], levels.collect()).unwrap();
        named.push((name.clone(), levels));
        let scales = (0..rows * 2).map(four_bit_scale).collect();
        let scales = Tensor::new([rows, 2], scales).unwrap();
        named.push((format!("{name}_scale"), scales.cast(DType::F16).unwrap()));
    }
    named
}

#[test]
fn matrices_in_four_bits_are_levels_times_scales() {
    let folder = Folder::new();
    folder.save(&in_four_bits());
    let checkpoint = folder.load().unwrap();
    assert!(checkpoint.has_pooler());
    assert_eq!(checkpoint.notices(), [] as [String; 0]);
    let name = "bert.embeddings.word_embeddings.weight";
    let weight = checkpoint.weights().get(name).unwrap();
    assert_eq!(weight.shape(), [12, 4]);
    let expected: Vec<f32> = (0..24)
        .flat_map(|at| {
            let pair = at * 37 % 256;
            [pair % 16, pair / 16].map(|level| (level as f32 - 8.0) * four_bit_scale(at))
        })
        .collect();
    assert_eq!(weight.as_slice::<f32>().unwrap(), expected);

    // Written out in f32, as `concord export-model` does, it is the same checkpoint.
    let hash = checkpoint.hash();
    let widened = checkpoint.weights().iter();
    let widened = widened.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let pooler = tensors()
        .into_iter()
        .filter(|(name, _)| name.contains("pooler"));
    folder.save(&widened.chain(pooler).collect());
    assert_eq!(folder.load().unwrap().hash(), hash);
}

#[test]
fn four_bits_without_fitting_scales_are_refused() {
    let folder = Folder::new();
    let refused = |replaced: &str, by: Option<Tensor>| {
        let mut named = without(in_four_bits(), replaced);
        named.extend(by.map(|tensor| (replaced.to_owned(), tensor)));
        folder.save(&named);
        let error = folder.weights_error();
        let name = replaced.trim_end_matches("_scale");
        assert!(
            matches!(&error, WeightsError::Scales { name: found, .. } if found == name),
            "{error}"
        );
    };
    let query = "bert.encoder.layer.0.attention.self.query.weight";
    let scales = format!("{query}_scale");
    refused(&scales, None);
    for shape in [[3, 2], [4, 0], [4, 3], [4, 4]] {
        let count = shape.iter().product();
        refused(
            &scales,
            Some(Tensor::new(shape, vec![0.5f32; count]).unwrap()),
        );
    }
    refused(&scales, Some(Tensor::vector(vec![0.5f32; 4])));
    refused(&scales, Some(Tensor::new([4, 2], vec![0.5f64; 8]).unwrap()));
    refused(query, Some(Tensor::new([4, 4], vec![0u8; 16]).unwrap()));

    // Four bits are for matrices.
    let bias = "bert.embeddings.LayerNorm.bias";
    let mut named = without(in_four_bits(), bias);
    named.push((bias.to_owned(), Tensor::vector(vec![1u8; 4])));
    folder.save(&named);
    assert!(matches!(
        folder.weights_error(),
        WeightsError::ElementType {
            dtype: DType::U8,
            ..
        }
    ));
}

#[test]
fn a_missing_pooler_and_unused_tensors_are_mentioned() {
    let folder = Folder::new();
    let mut named = without(tensors(), "bert.pooler.dense.weight");
    named.push(("cls.predictions.bias".into(), Tensor::vector(vec![1f32])));
    named.push((
        "bert.embeddings.position_ids".into(),
        Tensor::vector(vec![0i64]),
    ));
    named.push(("extra.weight".into(), Tensor::vector(vec![1f32])));
    folder.save(&named);
    let checkpoint = folder.load().unwrap();
    assert!(!checkpoint.has_pooler());
    let [pooler, unused] = checkpoint.notices() else {
        panic!("two notices expected: {:?}", checkpoint.notices());
    };
    assert!(pooler.contains("no pooler"));
    assert!(
        unused.contains("1 tensors") && unused.contains("extra.weight"),
        "{unused}"
    );
}

#[test]
fn the_old_names_of_layer_norms_are_understood() {
    let folder = Folder::new();
    let hash = folder.load().unwrap().hash();
    let old = |(name, tensor): (String, Tensor)| match name.rsplit_once("LayerNorm.") {
        Some((module, "weight")) => (format!("{module}LayerNorm.gamma"), tensor),
        Some((module, _)) => (format!("{module}LayerNorm.beta"), tensor),
        None => (name, tensor),
    };
    let mut renamed: Named = tensors().into_iter().map(old).collect();
    folder.save(&renamed);
    assert_eq!(folder.load().unwrap().hash(), hash);
    renamed.push((
        "bert.embeddings.LayerNorm.weight".into(),
        Tensor::vector(vec![0f32; 4]),
    ));
    folder.save(&renamed);
    assert!(matches!(folder.weights_error(), WeightsError::Twice { .. }));
}

#[test]
fn names_that_differ_by_the_prefix_of_a_wrapper_are_read_and_that_is_said() {
    let folder = Folder::new();
    let hash = folder.load().unwrap().hash();
    for prefix in ["module.", "model.", "module.model."] {
        for named in [tensors(), in_four_bits()] {
            folder.save(&named);
            let plain = folder.load().unwrap();
            let wrapped = named.into_iter();
            let wrapped = wrapped.map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
            folder.save(&wrapped.collect());
            let checkpoint = folder.load().unwrap();
            assert_eq!(checkpoint.hash(), plain.hash());
            let [notice] = checkpoint.notices() else {
                panic!("one notice expected: {:?}", checkpoint.notices());
            };
            assert!(notice.contains(&format!("{prefix:?}")), "{notice}");
        }
    }
    // The same tensor with and without it is ambiguous; a whole set without it is the one that is meant.
    let wrap = |(name, tensor)| (format!("module.{name}"), tensor);
    let mut both: Named = tensors().into_iter().map(wrap).collect();
    both.push((
        "linear.weight".to_owned(),
        Tensor::new([3, 4], vec![0f32; 12]).unwrap(),
    ));
    folder.save(&both);
    assert!(matches!(folder.weights_error(), WeightsError::Twice { .. }));
    let mut both: Named = tensors().into_iter().map(wrap).collect();
    both.extend(tensors());
    folder.save(&both);
    assert_eq!(folder.load().unwrap().hash(), hash);
}

#[test]
fn missing_tensors_are_named_and_a_plain_bert_is_recognised() {
    let folder = Folder::new();
    let name = "bert.encoder.layer.0.output.dense.bias";
    folder.save(&without(tensors(), name));
    let error = folder.weights_error();
    assert_eq!(
        error.to_string(),
        format!("1 tensors are missing, the first is {name:?}")
    );

    folder.save(&without(tensors(), "linear.weight"));
    assert!(matches!(folder.weights_error(), WeightsError::NoProjection));

    for (prefix, hint) in [
        ("", "plain BertModel"),
        ("module.bert.", "parallel wrapper"),
    ] {
        let rename = |(name, tensor): (String, Tensor)| {
            let name = name
                .strip_prefix("bert.")
                .map(|rest| format!("{prefix}{rest}"));
            (name.unwrap_or("linear.weight".into()), tensor)
        };
        folder.save(&tensors().into_iter().map(rename).collect());
        let error = folder.weights_error();
        assert!(matches!(&error, WeightsError::Missing { missing, .. } if missing.len() == 21));
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn tensors_of_a_wrong_shape_or_type_are_named() {
    let folder = Folder::new();
    let replace = |name: &str, tensor: Tensor| {
        let mut named = without(tensors(), name);
        named.push((name.into(), tensor));
        folder.save(&named);
        folder.weights_error()
    };
    let name = "bert.embeddings.word_embeddings.weight";
    let error = replace(name, Tensor::new([5, 4], vec![0f32; 20]).unwrap());
    assert!(
        matches!(&error, WeightsError::Shape { expected, found, .. } if expected == &[12, 4] && found == &[5, 4]),
        "{error}"
    );
    let error = replace(name, Tensor::new([12, 4], vec![0i32; 48]).unwrap());
    assert!(
        matches!(
            error,
            WeightsError::ElementType {
                dtype: DType::I32,
                ..
            }
        ),
        "{error}"
    );
    let error = replace(
        "linear.weight",
        Tensor::new([3, 5], vec![0f32; 15]).unwrap(),
    );
    assert!(
        matches!(error, WeightsError::ProjectionShape { hidden: 4, .. }),
        "{error}"
    );
    let error = replace(
        "linear.weight",
        Tensor::new([0, 4], Vec::<f32>::new()).unwrap(),
    );
    assert!(
        matches!(error, WeightsError::ProjectionShape { .. }),
        "{error}"
    );
}

#[test]
fn truncated_weights_are_refused_by_the_reader() {
    let folder = Folder::new();
    let path = folder.path("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let error = folder.load().unwrap_err();
    assert!(matches!(error, CheckpointError::Container(_)), "{error}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

#[test]
fn weights_can_be_made_of_tensors_in_memory() {
    let weights = Weights::new(&architecture(), tensors()).unwrap();
    assert_eq!(weights.get("linear.weight").unwrap().shape(), [3, 4]);
    assert!(weights.has_pooler());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_weights_are_loaded_or_refused_without_a_panic(at in 0usize..3000, byte: u8) {
        let folder = Folder::new();
        let path = folder.path("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        std::fs::write(&path, bytes).unwrap();
        let _ = folder.load();
    }
}

/// The tensors with one element of one of them replaced.
fn with_element(name: &str, at: usize, value: f32) -> Named {
    let mut named = tensors();
    let (_, tensor) = named.iter_mut().find(|(n, _)| n == name).unwrap();
    let mut values = tensor.as_slice::<f32>().unwrap().to_vec();
    values[at] = value;
    *tensor = Tensor::new(tensor.shape(), values).unwrap();
    named
}

#[test]
fn a_weight_that_is_no_finite_number_is_named_with_its_place() {
    let folder = Folder::new();
    let query = "bert.encoder.layer.0.attention.self.query.weight";
    let norm = "bert.embeddings.LayerNorm.bias";
    for (name, at, value, place) in [
        ("linear.weight", 6, f32::NAN, vec![1, 2]),
        (query, 0, f32::INFINITY, vec![0, 0]),
        (norm, 3, f32::NEG_INFINITY, vec![3]),
    ] {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let cast = |(name, tensor): (String, Tensor)| (name, tensor.cast(dtype).unwrap());
            folder.save(
                &with_element(name, at, value)
                    .into_iter()
                    .map(cast)
                    .collect(),
            );
            let error = folder.weights_error();
            let WeightsError::NotFinite {
                name: found, index, ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((found.as_str(), index), (name, &place));
            assert!(
                error.to_string().contains(&format!("{value} at {place:?}")),
                "{error}"
            );
        }
    }

    let mut named = in_four_bits();
    let scales = named
        .iter_mut()
        .find(|(name, _)| *name == format!("{query}_scale"));
    scales.unwrap().1 = Tensor::new([4, 2], vec![f32::NAN; 8]).unwrap();
    folder.save(&named);
    assert!(matches!(
        folder.weights_error(),
        WeightsError::NotFinite { .. }
    ));

    // Nothing is computed with the pooler.
    folder.save(&with_element("bert.pooler.dense.bias", 0, f32::NAN));
    folder.load().unwrap();
}

#[test]
fn a_weight_that_a_precision_has_no_finite_number_for_is_refused_in_that_precision() {
    let folder = Folder::new();
    let query = "bert.encoder.layer.0.attention.self.query.weight";
    let bias = "bert.encoder.layer.0.output.dense.bias";
    for (name, value, fails_in) in [
        (query, 65_519.0, &[][..]),
        (query, 65_520.0, &[Precision::F16]),
        (bias, -1e6, &[Precision::F16]),
        (
            "linear.weight",
            f32::MAX,
            &[Precision::F16, Precision::Bf16],
        ),
        // A table, which is not rounded.
        ("bert.embeddings.word_embeddings.weight", 1e6, &[]),
    ] {
        folder.save(&with_element(name, 1, value));
        let checkpoint = folder.load().unwrap();
        for precision in [
            Precision::F32,
            Precision::F16,
            Precision::Bf16,
            Precision::Int8,
        ] {
            let built = Encoder::build(
                &checkpoint,
                &Numerics::default(),
                precision,
                &Compute::fastest(),
            );
            match built.err() {
                None => assert!(!fails_in.contains(&precision), "{name} {precision}"),
                Some(BuildError::NotInPrecision {
                    name: found,
                    value: of,
                    ..
                }) => {
                    assert!(fails_in.contains(&precision), "{name} {precision}");
                    assert_eq!((found.as_str(), of), (name, value));
                }
                Some(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn the_embedding_of_a_query_that_is_no_number_is_named() {
    let folder = Folder::new();
    // Finite weights whose products are not.
    let huge = |(name, tensor): (String, Tensor)| match name.as_str() {
        "linear.weight" => (name, Tensor::new([3, 4], vec![f32::MAX; 12]).unwrap()),
        _ => (name, tensor),
    };
    folder.save(&tensors().into_iter().map(huge).collect());
    let checkpoint = folder.load().unwrap();
    let config = checkpoint.colbert_config([]).unwrap();
    let (numerics, compute) = (Numerics::default(), Compute::fastest());
    let encoder = QueryEncoder::new(&checkpoint, &config, &numerics, Precision::F32, &compute);
    let error = encoder.unwrap().encode("one").unwrap_err();
    assert!(
        matches!(error, QueryError::NotFinite { token: 0, .. }),
        "{error}"
    );
}
