//! Single operations of a stand-in for PyTorch.

use std::path::PathBuf;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::native::Native;
use concord_engine::options::NativeOptions;
use concord_engine::settings::IndexSettings;
use concord_subject::operations::{Operations, RowOperation};
use concord_subject::runner::Runner;
use concord_tensor::{Tensor, safetensors};
use serde_json::Value as Json;

use crate::golden::{checkpoint, golden};

/// The native engine's, and a softmax in words of its own.
pub struct OperationsAlone(Operations);

impl OperationsAlone {
    pub fn new() -> OperationsAlone {
        let collection = Collection::from_passages(&["a".to_owned()]);
        let native = Native::new(
            Arc::new(checkpoint(&golden("checkpoint"))),
            Arc::new(collection),
            NativeOptions::default(),
            IndexSettings::default(),
        );
        let runner = Runner::Native(Box::new(native.unwrap()));
        OperationsAlone(Operations::of(&runner, "").unwrap())
    }

    pub fn answer(&mut self, request: &Json) {
        let inputs = safetensors::read(PathBuf::from(request["inputs"].as_str().unwrap())).unwrap();
        let tensor = |name: &str| {
            inputs
                .iter()
                .find(|input| input.0 == name)
                .unwrap()
                .1
                .clone()
        };
        let values = |name: &str| tensor(name).as_slice::<f32>().unwrap().to_vec();
        let x = tensor("x");
        let mut by_rows = |operation| self.0.by_rows(operation, &x).unwrap();
        let y = match request["op"].as_str().unwrap() {
            "softmax" => {
                let rows = x.as_slice::<f32>().unwrap().chunks(x.row_len());
                let softmax = |row: &[f32]| {
                    let max = row.iter().copied().fold(f32::MIN, f32::max);
                    let exp: Vec<f32> = row.iter().map(|x| (x - max).exp()).collect();
                    let sum: f32 = exp.iter().sum();
                    exp.into_iter().map(move |e| e / sum).collect::<Vec<f32>>()
                };
                Tensor::new(
                    x.shape().to_vec(),
                    rows.flat_map(softmax).collect::<Vec<f32>>(),
                )
                .unwrap()
            }
            "gelu" => by_rows(RowOperation::Gelu),
            "normalize" => by_rows(RowOperation::Normalize),
            "layer_norm" => by_rows(RowOperation::LayerNorm {
                gamma: &values("weight"),
                beta: &values("bias"),
                eps: request["eps"].as_f64().unwrap(),
            }),
            "linear" => {
                let (x, weight) = (values("x"), values("weight"));
                let inputs = tensor("weight").row_len();
                let y = self.0.linear(&x, &weight, inputs).unwrap();
                let rows = x.len() / inputs;
                Tensor::new(vec![rows, y.len() / rows], y).unwrap()
            }
            other => panic!("{other}"),
        };
        safetensors::write(
            PathBuf::from(request["out"].as_str().unwrap()),
            &[("y".to_owned(), y)],
        )
        .unwrap();
    }
}
