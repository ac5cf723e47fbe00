//! Random tensors for property tests.

use concord_tensor::{DType, Tensor};
use proptest::prelude::*;

/// Any dtype.
pub fn dtype() -> impl Strategy<Value = DType> {
    proptest::sample::select(DType::ALL.to_vec())
}

/// A tensor of any dtype, of up to four dimensions, any bits in its elements.
pub fn tensor() -> impl Strategy<Value = Tensor> {
    dtype().prop_flat_map(tensor_of)
}

/// A tensor of one dtype.
pub fn tensor_of(dtype: DType) -> impl Strategy<Value = Tensor> {
    proptest::collection::vec(0_usize..6, 0..=4).prop_flat_map(move |shape| {
        let len = shape.iter().product::<usize>() * dtype.size();
        proptest::collection::vec(any::<u8>(), len)
            .prop_map(move |bytes| of_bytes(dtype, shape.clone(), bytes))
    })
}

fn of_bytes(dtype: DType, shape: Vec<usize>, mut bytes: Vec<u8>) -> Tensor {
    if dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte &= 1);
    }
    Tensor::from_le_bytes(dtype, shape, &bytes).expect("the bytes fill the shape")
}
