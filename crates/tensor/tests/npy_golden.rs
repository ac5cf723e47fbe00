//! Arrays that NumPy wrote, read by Concord, and the same arrays written by Concord.
//!
//! `golden/make_golden.py` makes the files.

use std::path::{Path, PathBuf};

use concord_tensor::npy::{self, NpyProblem};
use concord_tensor::{DType, FileProblem, Tensor};
use half::f16;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/torch-1.13.1")
        .join(name)
}

#[test]
fn a_row_major_array_is_read() {
    let read = npy::read(golden("matrix.npy")).unwrap();
    assert_eq!(read.shape(), [2, 3]);
    assert_eq!(
        read.as_slice::<f16>().unwrap(),
        [0, 1, 2, 3, 4, 5].map(|n| f16::from_f32(n as f32))
    );
}

#[test]
fn a_column_major_array_comes_out_in_row_major_order() {
    let read = npy::read(golden("fortran.npy")).unwrap();
    assert_eq!(read.shape(), [2, 3]);
    assert_eq!(read.as_slice::<i64>().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn bools_and_zero_dimensional_arrays_are_read() {
    let truths = npy::read(golden("truths.npy")).unwrap();
    assert_eq!(truths.as_slice::<bool>().unwrap(), [true, false, true]);
    let scalar = npy::read(golden("scalar.npy")).unwrap();
    assert_eq!(scalar.hash(), Tensor::scalar(-0.0_f64).hash());
}

#[test]
fn what_numpy_wrote_is_written_byte_for_byte() {
    for name in ["matrix.npy", "truths.npy", "scalar.npy"] {
        let mut written = Vec::new();
        npy::write_to(&mut written, name, &npy::read(golden(name)).unwrap()).unwrap();
        assert_eq!(written, std::fs::read(golden(name)).unwrap(), "{name}");
    }
}

#[test]
fn big_endian_elements_are_refused_with_advice() {
    let error = npy::open(golden("big_endian.npy")).unwrap_err();
    assert!(error.to_string().contains("newbyteorder"), "{error}");
    let descr = ">i4".to_owned();
    let FileProblem::Npy(problem) = error.problem else {
        panic!("{error}")
    };
    assert_eq!(problem, NpyProblem::BigEndian { descr });
}

#[test]
fn records_are_refused_by_their_type() {
    let error = npy::open(golden("record.npy")).unwrap_err();
    assert!(error.to_string().contains("[('a', '<f4')]"), "{error}");
}

#[test]
fn bf16_cannot_be_written() {
    let tensor = Tensor::scalar(half::bf16::ONE);
    let error = npy::write_to(Vec::new(), "x.npy", &tensor).unwrap_err();
    let FileProblem::UnsupportedDType { dtype, .. } = error.problem else {
        panic!("{error}")
    };
    assert_eq!(dtype, DType::BF16);
}
