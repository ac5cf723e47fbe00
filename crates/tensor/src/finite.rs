//! Finding what is no number.

use half::{bf16, f16};

use crate::dtype::DType;
use crate::element::Element;
use crate::tensor::Tensor;

impl Tensor {
    /// The place of the first element that is NaN or infinite, in row-major order; `None` if every one is finite,
    /// as integers and booleans always are.
    pub fn first_non_finite(&self) -> Option<usize> {
        match self.dtype() {
            DType::F16 => first(self, |value: f16| value.is_finite()),
            DType::BF16 => first(self, |value: bf16| value.is_finite()),
            DType::F32 => first(self, f32::is_finite),
            DType::F64 => first(self, f64::is_finite),
            DType::Bool | DType::U8 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => None,
        }
    }

    /// The index in each dimension of the element at the place `at` in row-major order.
    pub fn index_of(&self, mut at: usize) -> Vec<usize> {
        let mut index = vec![0; self.shape().len()];
        for (place, &size) in index.iter_mut().zip(self.shape()).rev() {
            *place = at % size.max(1);
            at /= size.max(1);
        }
        index
    }
}

fn first<T: Element>(tensor: &Tensor, is_finite: impl Fn(T) -> bool) -> Option<usize> {
    /// Elements that are looked at without stopping, so that the compiler can take several at once.
    const AT_ONCE: usize = 1024;
    let elements = tensor.as_slice::<T>().ok()?;
    let mut before = 0;
    for part in elements.chunks(AT_ONCE) {
        let finite = |&value: &T| is_finite(value);
        if !part.iter().fold(true, |all, value| all & finite(value)) {
            return Some(before + part.iter().position(|value| !finite(value))?);
        }
        before += part.len();
    }
    None
}
