//! Replacing what single modules of the encoder give on.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use concord_kernels::compute::Compute;
use concord_model::architecture::Architecture;
use concord_model::checkpoint::Checkpoint;
use concord_model::encoder::{Encoder, PackedRows, TapsOfBatch};
use concord_model::hub::HubOptions;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::referee::Referee;
use concord_pipeline::{ForcingError, Replacements, StageError, Tap, TapSink, TappedPassage};
use concord_tensor::{DType, Element, Tensor};

const LENGTHS: [usize; 3] = [4, 3, 5];
/// The place of the passage that is given other rows, which is also its pid.
const FORCED: usize = 1;

fn checkpoint() -> Checkpoint {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint");
    Checkpoint::load(golden.to_str().unwrap(), &HubOptions::new("")).unwrap()
}

/// Wants every tap, and replaces the rows of one passage at one module.
struct Listener {
    path: String,
    replacement: Option<Tensor>,
}

impl TapSink for Listener {
    fn wants_passage(&self, _: usize) -> bool {
        true
    }
    fn wants_path(&self, _: &str) -> bool {
        true
    }
    fn wants_rows(&self) -> bool {
        true
    }
    fn tap(&self, _: Tap) -> Result<(), StageError> {
        Ok(())
    }
}

impl Replacements for Listener {
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError> {
        let forced = path == self.path && pid == FORCED;
        Ok(self.replacement.clone().filter(|_| forced))
    }
}

/// The taps of one batch and its embeddings.
type Computed<T> = Result<(Vec<Tap>, Vec<T>), ForcingError>;

/// Computes one batch.
fn computed<T>(
    listener: &Listener,
    encode: impl Fn(&PackedRows<'_>, &mut TapsOfBatch<'_>) -> Vec<T>,
) -> Computed<T> {
    let passages = LENGTHS.iter().enumerate();
    let passages = passages.map(|(pid, &tokens)| TappedPassage { pid, tokens });
    let mut taps = TapsOfBatch::of(Some(listener), Some(listener), 0, passages);
    let ids: Vec<u32> = (0..LENGTHS.iter().sum::<usize>() as u32)
        .map(|i| 7 + 31 * i)
        .collect();
    let rows = PackedRows {
        ids: &ids,
        lengths: &LENGTHS,
        attend: None,
        keep: None,
    };
    let embeddings = encode(&rows, &mut taps);
    Ok((taps.into_taps()?, embeddings))
}

/// The rows of the passages, each.
fn parts(tap: &Tap) -> Vec<Tensor> {
    let rows = tap.rows.as_ref().unwrap();
    let mut first = 0;
    let slices = LENGTHS.iter().map(|&length| {
        first += length;
        rows.slice_rows(first - length..first).unwrap()
    });
    slices.collect()
}

fn replacement(width: usize) -> Tensor {
    let values = (0..LENGTHS[FORCED] * width).map(|i| (i % 7) as f32 / 8.0 - 0.25);
    Tensor::new(vec![LENGTHS[FORCED], width], values.collect::<Vec<_>>()).unwrap()
}

/// The modules that read what the one at `path` gives, what those give, and so on, by the table. Where a
/// module hands on what is inside it, whoever reads that one reads it as well.
fn readers(architecture: &Architecture, path: &str) -> Vec<usize> {
    let modules = architecture.modules();
    let hands_on = |outer: &str, inner: &str| {
        let outer = architecture.module(outer).unwrap();
        outer.hands_on() && outer.reads[0] == inner
    };
    // What else is replaced with it: what is inside, where it hands that on.
    let mut changed: Vec<&str> = modules
        .iter()
        .filter(|module| module.path == path || hands_on(path, &module.path))
        .map(|module| module.path.as_str())
        .collect();
    let place = modules
        .iter()
        .position(|module| module.path == path)
        .unwrap();
    let mut found = Vec::new();
    for (at, module) in modules.iter().enumerate().skip(place + 1) {
        if module
            .reads
            .iter()
            .any(|read| changed.contains(&read.as_str()))
        {
            changed.push(&module.path);
            found.push(at);
        }
    }
    found
}

/// Replaces the output of each module in turn and looks at what follows: it is what the table says.
fn each_module_gives_on_its_replacement<T: Element>(
    architecture: &Architecture,
    encode: impl Fn(&PackedRows<'_>, &mut TapsOfBatch<'_>) -> Vec<T>,
) {
    let mut listener = Listener {
        path: String::new(),
        replacement: None,
    };
    let (plain, embeddings) = computed(&listener, &encode).unwrap();
    let found: Vec<&str> = plain.iter().map(|tap| tap.path.as_str()).collect();
    let paths: Vec<&str> = architecture.paths().collect();
    assert_eq!(found, paths);
    for (place, &path) in paths.iter().enumerate() {
        let given = replacement(plain[place].width);
        path.clone_into(&mut listener.path);
        listener.replacement = Some(given.clone());
        let (forced, forced_embeddings) = computed(&listener, &encode).unwrap();
        let mut victims = BTreeSet::new();
        for (at, (plain, forced)) in plain.iter().zip(&forced).enumerate() {
            let (plain, forced) = (parts(plain), parts(forced));
            for (pid, (plain, forced)) in plain.iter().zip(&forced).enumerate() {
                if plain.hash() != forced.hash() {
                    assert!(pid == FORCED && at > place, "{path} changed {}", paths[at]);
                    victims.insert(at);
                }
            }
        }
        if path == "normalize" {
            let width = given.row_len();
            let before = LENGTHS[0] * width;
            let given = given.cast(T::DTYPE).unwrap();
            let given = given.as_slice::<T>().unwrap();
            assert_eq!(&forced_embeddings[before..before + given.len()], given);
            assert_eq!(forced_embeddings[..before], embeddings[..before]);
        }
        let victims: Vec<usize> = victims.into_iter().collect();
        assert_eq!(victims, readers(architecture, path), "{path}");
    }
}

#[test]
fn each_module_of_the_encoder_gives_on_its_replacement_and_records_its_own() {
    let checkpoint = checkpoint();
    let encoder = Encoder::build(
        &checkpoint,
        &Numerics::default(),
        Precision::F32,
        &Compute::fastest(),
    )
    .unwrap();
    each_module_gives_on_its_replacement(&checkpoint.architecture(), |rows, taps| {
        encoder.encode(rows, taps)
    });
}

#[test]
fn each_module_of_the_referee_gives_on_its_replacement_and_records_its_own() {
    let checkpoint = checkpoint();
    let referee = Referee::build(&checkpoint, &Numerics::default()).unwrap();
    each_module_gives_on_its_replacement(&checkpoint.architecture(), |rows, taps| {
        referee.encode(rows, taps)
    });
}

#[test]
fn a_replacement_of_another_shape_is_an_error() {
    let encoder = Encoder::build(
        &checkpoint(),
        &Numerics::default(),
        Precision::F32,
        &Compute::fastest(),
    )
    .unwrap();
    for shape in [vec![3, 31], vec![2, 32], vec![96], vec![0, 32]] {
        let values = vec![0.0f32; shape.iter().product()];
        let listener = Listener {
            path: "linear".to_owned(),
            replacement: Some(Tensor::new(shape.clone(), values).unwrap()),
        };
        let encode = |rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>| encoder.encode(rows, taps);
        let error = computed(&listener, encode).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("3 rows of 32 values at `linear`"),
            "{message}"
        );
        assert!(matches!(
            error,
            ForcingError::Shape { pid: FORCED, found, .. } if found == shape
        ));
    }
}

#[test]
fn a_replacement_in_another_precision_is_widened_or_rounded_once() {
    let checkpoint = checkpoint();
    let third = 1.0f64 / 3.0;
    let wide = Tensor::new(vec![3, 32], vec![third; 96]).unwrap();
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let given = wide.cast(dtype).unwrap();
        let value = given.cast(DType::F64).unwrap().as_slice::<f64>().unwrap()[0];
        let listener = Listener {
            path: "normalize".to_owned(),
            replacement: Some(given),
        };
        let encoder = Encoder::build(
            &checkpoint,
            &Numerics::default(),
            Precision::F32,
            &Compute::fastest(),
        )
        .unwrap();
        let single = computed(&listener, |rows, taps| encoder.encode(rows, taps));
        assert_eq!(single.unwrap().1[LENGTHS[0] * 32], value as f32);
        let referee = Referee::build(&checkpoint, &Numerics::default()).unwrap();
        let double = computed(&listener, |rows, taps| referee.encode(rows, taps));
        assert_eq!(double.unwrap().1[LENGTHS[0] * 32], value);
    }
}
