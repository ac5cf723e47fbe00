//! Making, viewing and joining tensors.

#![allow(clippy::unwrap_used)] // in the bodies of properties

mod random;

use concord_tensor::{DType, Tensor, TensorError};
use proptest::prelude::*;

proptest! {
    #[test]
    fn bytes_make_the_tensor_they_came_from(tensor in random::tensor()) {
        let again = Tensor::from_le_bytes(tensor.dtype(), tensor.shape(), tensor.bytes()).unwrap();
        prop_assert_eq!(again.hash(), tensor.hash());
    }

    #[test]
    fn rows_cut_apart_and_joined_are_the_tensor(tensor in random::tensor(), cut in 0_usize..6) {
        prop_assume!(!tensor.shape().is_empty());
        let cut = cut.min(tensor.rows());
        let head = tensor.slice_rows(0..cut).unwrap();
        let tail = tensor.slice_rows(cut..tensor.rows()).unwrap();
        prop_assert_eq!(head.len(), cut * tensor.row_len());
        let joined = Tensor::concat_rows(&[head, tail]).unwrap();
        prop_assert_eq!(joined.hash(), tensor.hash());
    }

    #[test]
    fn a_slice_of_a_slice_is_the_slice_of_both(rows in 0_usize..20, a in 0_usize..20, b in 0_usize..20) {
        let tensor = Tensor::new([rows, 2], (0..2 * rows as i32).collect()).unwrap();
        let a = a.min(rows);
        let b = b.min(rows - a);
        let twice = tensor.slice_rows(a..rows).unwrap().slice_rows(b..rows - a).unwrap();
        prop_assert_eq!(twice.hash(), tensor.slice_rows(a + b..rows).unwrap().hash());
    }
}

/// The values are Python's, with `from hashlib import sha256; from struct import pack`:
///
/// ```text
/// sha256(b"f32\0" + pack("<QQQ", 2, 2, 3) + pack("<6f", 0.0, -0.0, 1.0, -1.5, inf, 1e-45))
/// sha256(b"i64\0" + pack("<Q", 0) + pack("<q", -2))
/// ```
#[test]
fn tensors_hash_as_in_python() {
    let values = vec![0.0_f32, -0.0, 1.0, -1.5, f32::INFINITY, f32::from_bits(1)];
    let matrix = Tensor::new([2, 3], values).unwrap();
    assert_eq!(
        matrix.hash().to_string(),
        "sha256:f714d5efbd285e24e5ada4c934e69cb8ab6181bab991fd405ece1e55d24e11a4"
    );
    assert_eq!(
        Tensor::scalar(-2_i64).hash().to_string(),
        "sha256:96055fdb9950aa9d9810c77a7dad06598d2f62987bc01b47751666a3467479c6"
    );
}

#[test]
fn dtype_and_shape_are_part_of_the_hash() {
    let tensor = Tensor::vector(vec![0_u8; 4]);
    assert_ne!(tensor.hash(), tensor.reshape([2, 2]).unwrap().hash());
    assert_ne!(tensor.hash(), Tensor::vector(vec![0_i8; 4]).hash());
    assert_ne!(
        Tensor::vector(vec![0.0_f32]).hash(),
        Tensor::vector(vec![-0.0_f32]).hash()
    );
    assert_ne!(
        Tensor::scalar(0_u8).hash(),
        Tensor::vector(vec![0_u8]).hash()
    );
}

#[test]
fn elements_must_fill_the_shape() {
    let error = Tensor::new([2, 3], vec![1.0_f32; 5]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "5 elements do not fill shape [2, 3], which holds 6"
    );
    let error = Tensor::from_le_bytes(DType::F16, [2], &[0; 3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 bytes do not fill a f16 tensor of shape [2], which takes 4"
    );
}

#[test]
fn a_shape_beyond_memory_is_refused_even_if_it_is_empty() {
    for shape in [
        vec![usize::MAX, 2],
        vec![0, usize::MAX, 2],
        vec![usize::MAX / 2],
    ] {
        let error = Tensor::from_le_bytes(DType::F64, shape.clone(), &[]).unwrap_err();
        assert_eq!(
            error,
            TensorError::ShapeTooLarge {
                dtype: DType::F64,
                shape
            }
        );
    }
}

#[test]
fn elements_are_never_seen_as_another_type() {
    let error = Tensor::scalar(1.0_f32).as_slice::<i32>().unwrap_err();
    let (requested, actual) = (DType::I32, DType::F32);
    assert_eq!(error, TensorError::DTypeMismatch { requested, actual });
}

#[test]
fn a_bool_is_0_or_1() {
    let error = Tensor::from_le_bytes(DType::Bool, [3], &[0, 1, 2]).unwrap_err();
    assert_eq!(error, TensorError::InvalidBool { index: 2, byte: 2 });
}

#[test]
fn a_scalar_is_one_row_but_has_no_row_axis() {
    let scalar = Tensor::scalar(7_u8);
    assert_eq!((scalar.rows(), scalar.row_len(), scalar.len()), (1, 1, 1));
    assert_eq!(scalar.slice_rows(0..1).unwrap_err(), TensorError::NoRowAxis);
    assert_eq!(
        Tensor::concat_rows(&[scalar]).unwrap_err(),
        TensorError::NoRowAxis
    );
    assert_eq!(
        Tensor::concat_rows(&[]).unwrap_err(),
        TensorError::NothingToConcatenate
    );
}

#[test]
fn rows_outside_are_refused() {
    let tensor = Tensor::vector(vec![1_u8, 2]);
    let error = tensor.slice_rows(1..3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rows 1..3 are not within a tensor of 2 rows"
    );
}

#[test]
fn rows_of_different_kind_are_not_joined() {
    let a = Tensor::new([1, 2], vec![1_u8, 2]).unwrap();
    let b = Tensor::new([1, 3], vec![1_u8, 2, 3]).unwrap();
    let c = Tensor::new([1, 2], vec![1_i8, 2]).unwrap();
    for wrong in [b, c] {
        let error = Tensor::concat_rows(&[a.clone(), wrong]).unwrap_err();
        assert!(
            matches!(error, TensorError::RowsDiffer { index: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn tensors_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Tensor>();
    shared::<concord_tensor::TensorSource>();
}
