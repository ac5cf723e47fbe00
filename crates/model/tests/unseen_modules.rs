//! What nobody sees of a module is not computed, and nobody sees that.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use concord_kernels::compute::Compute;
use concord_model::checkpoint::Checkpoint;
use concord_model::encoder::{Encoder, PackedRows, TapsOfBatch};
use concord_model::hub::HubOptions;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::referee::Referee;
use concord_pipeline::{ForcingError, Replacements, StageError, Tap, TapSink, TappedPassage};
use concord_tensor::{BitHash, DType, Element, Tensor};

const LENGTHS: [usize; 3] = [4, 3, 5];

/// Wants the taps of one module, or of all.
struct Wants<'a>(Option<&'a str>);

impl TapSink for Wants<'_> {
    fn wants_passage(&self, _: usize) -> bool {
        true
    }
    fn wants_path(&self, path: &str) -> bool {
        self.0.is_none_or(|wanted| wanted == path)
    }
    fn wants_rows(&self) -> bool {
        true
    }
    fn tap(&self, _: Tap) -> Result<(), StageError> {
        Ok(())
    }
}

/// Rows for every module and some passages.
struct Given {
    rows: HashMap<(String, usize), Tensor>,
    /// Whether it says which it has.
    says: bool,
}

impl Given {
    /// For passages of each module, half of what was computed there.
    fn half_of<T: Element>(plain: &[Tap], pids: &[usize], says: bool) -> Given {
        let mut rows = HashMap::new();
        for tap in plain {
            for &pid in pids {
                let first = LENGTHS[..pid].iter().sum::<usize>();
                let own = tap.rows.as_ref().unwrap();
                let own = own.slice_rows(first..first + LENGTHS[pid]).unwrap();
                let wide = own.cast(DType::F64).unwrap();
                let values = wide.as_slice::<f64>().unwrap().iter();
                let half: Vec<f64> = values.map(|value| value / 2.0).collect();
                let half = Tensor::new(own.shape().to_vec(), half).unwrap();
                rows.insert((tap.path.clone(), pid), half.cast(T::DTYPE).unwrap());
            }
        }
        Given { rows, says }
    }
}

impl Replacements for Given {
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError> {
        Ok(self.rows.get(&(path.to_owned(), pid)).cloned())
    }
    fn has(&self, path: &str, pid: usize) -> bool {
        self.says && self.rows.contains_key(&(path.to_owned(), pid))
    }
}

fn computed<T>(
    wants: &Wants<'_>,
    given: Option<&Given>,
    encode: impl Fn(&PackedRows<'_>, &mut TapsOfBatch<'_>) -> Vec<T>,
) -> (Vec<Tap>, Vec<T>) {
    let passages = LENGTHS.iter().enumerate();
    let passages = passages.map(|(pid, &tokens)| TappedPassage { pid, tokens });
    let given = given.map(|given| given as &dyn Replacements);
    let mut taps = TapsOfBatch::of(Some(wants), given, 0, passages);
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
    (taps.into_taps().unwrap(), embeddings)
}

/// Takes the tap of each module in turn while all modules are given something else, by replacements that say what
/// they have and by some that do not.
fn nothing_depends_on_what_is_not_computed<T: Element + PartialEq + std::fmt::Debug>(
    encode: impl Fn(&PackedRows<'_>, &mut TapsOfBatch<'_>) -> Vec<T>,
) {
    let (plain, _) = computed(&Wants(None), None, &encode);
    for pids in [&[0, 1, 2][..], &[0, 2]] {
        let [says, silent] = [true, false].map(|says| Given::half_of::<T>(&plain, pids, says));
        for tap in &plain {
            let wants = Wants(Some(&tap.path));
            let [found, expected] =
                [&says, &silent].map(|given| computed(&wants, Some(given), &encode));
            let hash = |taps: &[Tap]| -> Vec<BitHash> {
                let rows = taps.iter().map(|tap| tap.rows.as_ref().unwrap());
                rows.map(Tensor::hash).collect()
            };
            assert_eq!(hash(&found.0).len(), 1, "{}", tap.path);
            assert_eq!(hash(&found.0), hash(&expected.0), "{}", tap.path);
            assert_eq!(found.0[0].passages, expected.0[0].passages, "{}", tap.path);
            assert_eq!(found.1, expected.1, "{}", tap.path);
        }
    }
}

fn checkpoint() -> Checkpoint {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint");
    Checkpoint::load(golden.to_str().unwrap(), &HubOptions::new("")).unwrap()
}

#[test]
fn what_the_encoder_leaves_out_is_not_missed() {
    let numerics = Numerics::default();
    let compute = Compute::fastest();
    let encoder = Encoder::build(&checkpoint(), &numerics, Precision::F32, &compute).unwrap();
    nothing_depends_on_what_is_not_computed(|rows, taps| encoder.encode(rows, taps));
}

#[test]
fn what_the_referee_leaves_out_is_not_missed() {
    let referee = Referee::build(&checkpoint(), &Numerics::default()).unwrap();
    nothing_depends_on_what_is_not_computed(|rows, taps| referee.encode(rows, taps));
}
