//! Single operations of a subject, on operands of one's own.

use concord_kernels::compute::Compute;
use concord_kernels::gelu::{Gelu, gelu};
use concord_kernels::layer_norm::layer_norm;
use concord_kernels::normalize::normalize;
use concord_model::encoder::linear_alone;
use concord_model::numerics::Arithmetic;
use concord_model::precision::Precision;
use concord_tensor::{DType, Tensor, TensorError};
use serde_json::json;

use crate::agent::{Agent, AgentError, Fields};
use crate::runner::Runner;
use crate::specification::Amp;

/// The operations of a subject, ready to be asked. For PyTorch a process is kept.
pub struct Operations {
    backend: Backend,
}

/// Who computes them.
enum Backend {
    Native {
        arithmetic: Arithmetic,
        precision: Precision,
        compute: Compute,
    },
    Torch {
        agent: Box<Agent>,
        fields: Fields,
        amp: Amp,
    },
}

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The operands do not go together, or the result is not of the kind that was asked for.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// PyTorch's process gave something else than one tensor.
    #[error("PyTorch's process gave no result of the operation `{0}`")]
    NoResult(&'static str),
    #[error(
        "precision=int8 adds integers, whose sum is exact: there is no order of additions to find"
    )]
    Exact,
    /// The native engine has no such operation by itself.
    #[error("the native engine computes no {0} by itself, only as a part of another operation")]
    NotApart(&'static str),
}

impl Operations {
    /// The operations of `runner` as its module at `module` computes them.
    ///
    /// # Errors
    /// When PyTorch's process cannot be started.
    pub fn of(runner: &Runner, module: &str) -> Result<Operations, AgentError> {
        let backend = match runner {
            Runner::Native(native) => Backend::Native {
                arithmetic: native.arithmetic_at(module),
                precision: native.precision(),
                compute: native.compute().clone(),
            },
            Runner::Torch(torch) => Backend::Torch {
                agent: Box::new(torch.start()?),
                fields: torch.operation(),
                amp: torch.amp(),
            },
        };
        Ok(Operations { backend })
    }

    /// The dtypes that a product of matrices has operands, sums and results in.
    pub fn dtypes(&self) -> [DType; 3] {
        match &self.backend {
            Backend::Torch { amp: Amp::Bf16, .. } => [DType::BF16, DType::F32, DType::BF16],
            Backend::Torch { amp: Amp::F16, .. } => [DType::F16, DType::F32, DType::F16],
            Backend::Native {
                precision: Precision::Bf16,
                ..
            } => [DType::BF16, DType::F32, DType::BF16],
            Backend::Native {
                precision: Precision::F16,
                ..
            } => [DType::F16, DType::F32, DType::F16],
            Backend::Native { .. } | Backend::Torch { amp: Amp::Off, .. } => [DType::F32; 3],
        }
    }

    /// A linear layer with a bias of zeros: `x` `(rows, inputs)`, `w` `(outputs, inputs)`, both f32; the
    /// result is `(rows, outputs)`, widened to f32.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn linear(
        &mut self,
        x: &[f32],
        w: &[f32],
        inputs: usize,
    ) -> Result<Vec<f32>, OperationError> {
        let width = inputs.max(1);
        let (rows, outputs) = (x.len() / width, w.len() / width);
        match &mut self.backend {
            Backend::Native {
                arithmetic,
                precision,
                compute,
            } => match precision {
                Precision::Int8 => Err(OperationError::Exact),
                _ => Ok(linear_alone(*precision, *arithmetic, compute, x, w, inputs)),
            },
            Backend::Torch { agent, fields, .. } => {
                let fields = fields.clone();
                let operands = [
                    ("x".to_owned(), Tensor::new(vec![rows, inputs], x.to_vec())?),
                    (
                        "weight".to_owned(),
                        Tensor::new(vec![outputs, inputs], w.to_vec())?,
                    ),
                    ("bias".to_owned(), Tensor::vector(vec![0f32; outputs])),
                ];
                let y = asked(agent, "linear", fields, &operands)?;
                Ok(y.cast(DType::F32)?.as_slice::<f32>()?.to_vec())
            }
        }
    }

    /// The sum of each row of `x` `(rows, terms)` in f32, each by a call of its own.
    ///
    /// # Errors
    /// [`OperationError`]; the native engine adds within other operations alone.
    pub fn sums(&mut self, of: SumOf, x: &Tensor) -> Result<Vec<f32>, OperationError> {
        match &mut self.backend {
            Backend::Native { .. } => Err(OperationError::NotApart("sum")),
            Backend::Torch { agent, fields, .. } => {
                let mut fields = fields.clone();
                let name = match of {
                    SumOf::Torch => "sum",
                    SumOf::Numpy => "numpy_sum",
                };
                fields.insert("each".to_owned(), json!(true));
                let operands = [("x".to_owned(), x.clone())];
                let sums = asked(agent, name, fields, &operands)?;
                Ok(sums.as_slice::<f32>()?.to_vec())
            }
        }
    }

    /// An operation on each row of `x` `(rows, width)` in f32. The result has the same shape, and the dtype
    /// that the operation gives it.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn by_rows(
        &mut self,
        operation: RowOperation<'_>,
        x: &Tensor,
    ) -> Result<Tensor, OperationError> {
        match &mut self.backend {
            Backend::Native {
                arithmetic,
                compute,
                ..
            } => native_rows(operation, x, arithmetic, compute),
            Backend::Torch { agent, fields, .. } => {
                let mut fields = fields.clone();
                let mut operands = vec![("x".to_owned(), x.clone())];
                if let RowOperation::LayerNorm { gamma, beta, eps } = operation {
                    fields.insert("eps".to_owned(), json!(eps));
                    operands.push(("weight".to_owned(), Tensor::vector(gamma.to_vec())));
                    operands.push(("bias".to_owned(), Tensor::vector(beta.to_vec())));
                }
                asked(agent, operation.name(), fields, &operands)
            }
        }
    }
}

impl Operations {
    /// The product of matrices: `a` `(…, m, k)`, `b` `(…, k, n)`, both f32, with the same dimensions in front.
    ///
    /// # Errors
    /// [`OperationError`]; the native engine multiplies matrices in attention alone.
    pub fn matmul(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor, OperationError> {
        match &mut self.backend {
            Backend::Native { .. } => Err(OperationError::NotApart("product of two tensors")),
            Backend::Torch { agent, fields, .. } => {
                let operands = [("a".to_owned(), a.clone()), ("b".to_owned(), b.clone())];
                asked(agent, "matmul", fields.clone(), &operands)
            }
        }
    }

    /// A linear layer on a batch `x` `(…, inputs)` with weights `(outputs, inputs)` and a bias.
    ///
    /// # Errors
    /// [`OperationError`]; the native engine is asked by [`Operations::linear`].
    pub fn layer(
        &mut self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
    ) -> Result<Tensor, OperationError> {
        match &mut self.backend {
            Backend::Native { .. } => Err(OperationError::NotApart("linear layer on a batch")),
            Backend::Torch { agent, fields, .. } => {
                let operands = [("x", x), ("weight", weight), ("bias", bias)];
                let operands = operands.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
                asked(agent, "linear", fields.clone(), &operands)
            }
        }
    }
}

/// Whose sum of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumOf {
    /// PyTorch's `x.sum()`.
    Torch,
    /// NumPy's, of the version that is installed with PyTorch.
    Numpy,
}

/// An operation that sees one row at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowOperation<'a> {
    LayerNorm {
        /// What rows are multiplied by.
        gamma: &'a [f32],
        /// What is added to them then.
        beta: &'a [f32],
        /// What is added to the variance.
        eps: f64,
    },
    /// GELU of every element, by the error function.
    Gelu,
    /// Division by the Euclidean length.
    Normalize,
    Softmax,
}

impl RowOperation<'_> {
    /// Its name, as the agent has it.
    pub fn name(self) -> &'static str {
        match self {
            RowOperation::LayerNorm { .. } => "layer_norm",
            RowOperation::Gelu => "gelu",
            RowOperation::Normalize => "normalize",
            RowOperation::Softmax => "softmax",
        }
    }
}

fn native_rows(
    operation: RowOperation<'_>,
    x: &Tensor,
    arithmetic: &Arithmetic,
    compute: &Compute,
) -> Result<Tensor, OperationError> {
    let width = x.row_len();
    let mut y = x.as_slice::<f32>()?.to_vec();
    match operation {
        RowOperation::LayerNorm { gamma, beta, eps } => {
            layer_norm(
                compute,
                arithmetic.layer_norm,
                &mut y,
                gamma,
                beta,
                eps as f32,
            );
        }
        RowOperation::Gelu => gelu(compute, arithmetic.gelu.unwrap_or(Gelu::Erf), &mut y),
        RowOperation::Normalize => normalize(compute, arithmetic.normalize, &mut y, width),
        RowOperation::Softmax => return Err(OperationError::NotApart("softmax")),
    }
    Ok(Tensor::new(x.shape().to_vec(), y)?)
}

fn asked(
    agent: &mut Agent,
    operation: &'static str,
    mut fields: Fields,
    operands: &[(String, Tensor)],
) -> Result<Tensor, OperationError> {
    fields.insert("op".to_owned(), json!(operation));
    let mut results = agent.compute("op", fields, operands)?.into_iter();
    let (_, result) = results.next().ok_or(OperationError::NoResult(operation))?;
    Ok(result)
}
