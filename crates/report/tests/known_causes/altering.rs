//! What a stand-in for PyTorch computes: the native engine's numbers, altered by rules.

use std::collections::BTreeMap;
use std::sync::Mutex;

use concord_engine::native::Native;
use concord_model::document::Batch;
use concord_pipeline::{
    ForcingError, OtherMask, Replacements, RunWriter, StageError, Tap, TapSink, TappedPassage,
};
use concord_tensor::Tensor;

use crate::rules::{Around, Rule};

/// A batch, and how far it is padded.
pub struct Padded {
    pub batch: Batch,
    pub tokens: usize,
}

/// Passages as a batch, padded to the longest or as far as is said.
pub fn padded(native: &Native, number: usize, pids: &[usize], pad: Option<usize>) -> Padded {
    let tokenizer = &native.encoder().tokenizer;
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    for &pid in pids {
        let text = native.collection().texts(pid..pid + 1).next().unwrap();
        let own = tokenizer.encode_one(text).unwrap();
        lengths.push(own.len());
        ids.extend(own);
    }
    let longest = *lengths.iter().max().unwrap();
    let batch = Batch {
        number,
        pids: pids.to_vec(),
        ids,
        lengths,
    };
    Padded {
        batch,
        tokens: pad.unwrap_or(longest),
    }
}

/// A pass over batches by rules.
pub struct Computing<'a> {
    pub native: &'a Native,
    pub rules: &'a [Rule],
    pub sdpa: bool,
    /// What modules are given by whoever asks.
    pub outer: Option<&'a dyn Replacements>,
}

/// What modules give instead of what they computed, by module and passage.
type Altered = BTreeMap<(String, usize), Tensor>;

impl Computing<'_> {
    /// Encodes the batches; `take` gets the embeddings of each passage.
    pub fn encode(
        &self,
        batches: &[Padded],
        writer: &RunWriter,
        take: &mut dyn FnMut(usize, Vec<f32>),
    ) {
        // Each by itself, because a passage may be in several.
        for padded in batches {
            self.encode_one(padded, writer, take);
        }
    }

    fn encode_one(
        &self,
        padded: &Padded,
        writer: &RunWriter,
        take: &mut dyn FnMut(usize, Vec<f32>),
    ) {
        let batch = std::slice::from_ref(&padded.batch);
        let mut altered = Altered::new();
        let encoder = self.native.encoder();
        for (number, rule) in self.rules.iter().enumerate() {
            let applies = |pid: usize| {
                rule.applies(&Around {
                    pid,
                    pids: &padded.batch.pids,
                    tokens: padded.tokens,
                    sdpa: self.sdpa,
                })
            };
            if !padded.batch.pids.iter().any(|&pid| applies(pid)) {
                continue;
            }
            let seen = Seen {
                module: &rule.module,
                taps: Mutex::default(),
            };
            let given = self.given(&altered);
            encoder
                .encode(batch, Some(&seen), Some(&given), |_| (), |_, _| ())
                .unwrap();
            for tap in seen.taps.into_inner().unwrap() {
                let rows = tap.rows.unwrap();
                let mut first = 0;
                for own in &tap.passages {
                    let rows = rows.slice_rows(first..first + own.tokens).unwrap();
                    first += own.tokens;
                    if applies(own.pid) {
                        let key = (rule.module.clone(), own.pid);
                        let before = altered.remove(&key).unwrap_or(rows);
                        altered.insert(key, otherwise(&before, rule, number));
                    }
                }
            }
        }
        let given = self.given(&altered);
        let taps = AsAltered {
            writer,
            altered: &altered,
            rules: self.rules,
        };
        let mut taken = |batch: &Batch, rows: Vec<f32>| {
            let dim = encoder.encoder.dim();
            let mut rest = rows.as_slice();
            for (pid, tokens) in batch.pids.iter().zip(&batch.lengths) {
                let (own, others) = rest.split_at(tokens * dim);
                take(*pid, own.to_vec());
                rest = others;
            }
        };
        encoder
            .encode(batch, Some(&taps), Some(&given), |_| (), &mut taken)
            .unwrap();
    }

    fn given<'g>(&'g self, altered: &'g Altered) -> Given<'g> {
        Given {
            outer: self.outer,
            altered,
        }
    }
}

/// The same with other low bits; those of one rule are not those of another.
fn otherwise(rows: &Tensor, rule: &Rule, number: usize) -> Tensor {
    let bits = match rule.is_each_time() {
        true => std::process::id() | 1,
        false => 1 << number,
    };
    let values = rows.as_slice::<f32>().unwrap().iter();
    let values = values.map(|value| f32::from_bits(value.to_bits() ^ (bits & 0xfff)));
    Tensor::new(rows.shape().to_vec(), values.collect::<Vec<f32>>()).unwrap()
}

struct Given<'a> {
    outer: Option<&'a dyn Replacements>,
    altered: &'a Altered,
}

impl Replacements for Given<'_> {
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError> {
        if let Some(outer) = self.outer
            && let Some(rows) = outer.rows(path, pid)?
        {
            return Ok(Some(rows));
        }
        Ok(self.altered.get(&(path.to_owned(), pid)).cloned())
    }
}

/// Keeps what one module computed.
struct Seen<'a> {
    module: &'a str,
    taps: Mutex<Vec<Tap>>,
}

impl TapSink for Seen<'_> {
    fn wants_passage(&self, _: usize) -> bool {
        true
    }

    fn wants_path(&self, path: &str) -> bool {
        path == self.module
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        self.taps.lock().unwrap().push(tap);
        Ok(())
    }
}

/// Writes taps with what was altered in them.
struct AsAltered<'a> {
    writer: &'a RunWriter,
    altered: &'a Altered,
    rules: &'a [Rule],
}

impl TapSink for AsAltered<'_> {
    fn wants_passage(&self, pid: usize) -> bool {
        self.writer.wants_passage(pid)
    }

    fn wants_path(&self, path: &str) -> bool {
        self.writer.wants_path(path)
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        let rows = tap.rows.as_ref().unwrap();
        let mut values = Vec::new();
        let (mut first, mut masks) = (0, Vec::new());
        for own in &tap.passages {
            let computed = rows.slice_rows(first..first + own.tokens)?;
            first += own.tokens;
            let altered = self.altered.get(&(tap.path.clone(), own.pid));
            values.extend_from_slice(altered.unwrap_or(&computed).as_slice::<f32>()?);
            for rule in self.rules.iter().filter(|rule| rule.module == tap.path) {
                if let Some(token) = rule.hides(own.pid) {
                    let attended: Vec<bool> = (0..own.tokens).map(|own| own != token).collect();
                    masks.extend(OtherMask::of(own.pid, &attended));
                }
            }
        }
        let passages = tap.passages.iter();
        let passages: Vec<TappedPassage> = passages
            .map(|own| TappedPassage {
                pid: own.pid,
                tokens: own.tokens,
            })
            .collect();
        let values = Tensor::new(rows.shape().to_vec(), values)?;
        let altered = Tap::of(&tap.path, tap.batch, &passages, values)?;
        self.writer.tap(Tap {
            masks: tap.masks.map(|_| masks),
            ..altered
        })
    }
}
