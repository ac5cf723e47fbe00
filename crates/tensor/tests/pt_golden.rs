//! Files that PyTorch wrote, read by Concord, and the same values written by Concord.
//!
//! `golden/make_golden.py` makes the files.

#![allow(clippy::unwrap_used)] // in the functions that tests share

use std::path::{Path, PathBuf};

use concord_tensor::pt::{self, PtProblem, PtValue};
use concord_tensor::{DType, FileProblem, Tensor, open_tensors};
use half::{bf16, f16};

const VERSIONS: [&str; 2] = ["torch-1.13.1", "torch-2.15.0"];

fn golden(version: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(version)
        .join(name)
}

/// The tensor in a file of that name, the same from either version.
fn tensor(name: &str) -> Tensor {
    let [old, new] = VERSIONS.map(|version| pt::read_tensor(golden(version, name)).unwrap());
    assert_eq!(old.hash(), new.hash());
    old
}

fn assert_holds<T: concord_tensor::Element>(tensor: &Tensor, shape: &[usize], elements: &[T]) {
    assert_eq!(tensor.shape(), shape);
    assert_eq!(tensor.as_slice::<T>().unwrap(), elements);
}

#[test]
fn a_plain_tensor_is_read_with_its_bits() {
    let read = tensor("tensor.pt");
    let expected = Tensor::new([2, 2], vec![1.0, -0.0, f32::INFINITY, 0.1]).unwrap();
    assert_eq!(read.hash(), expected.hash());
}

#[test]
fn every_dtype_is_read() {
    for version in VERSIONS {
        let tensors = pt::read_tensors(golden(version, "every_dtype.pt")).unwrap();
        assert_eq!(
            tensors.iter().map(Tensor::dtype).collect::<Vec<_>>(),
            DType::ALL
        );
        for tensor in tensors {
            let expected = Tensor::vector(vec![0_i64, 1, 1])
                .cast(tensor.dtype())
                .unwrap();
            assert_eq!(tensor.hash(), expected.hash(), "{}", tensor.dtype());
        }
    }
}

#[test]
fn a_zero_dimensional_tensor_is_read() {
    assert_holds(&tensor("scalar.pt"), &[], &[f16::from_f32(2.5)]);
}

#[test]
fn empty_tensors_keep_their_shape() {
    for version in VERSIONS {
        let tensors = pt::read_tensors(golden(version, "empty.pt")).unwrap();
        let [rows, columns] = tensors.as_slice() else {
            panic!("{tensors:?}")
        };
        assert_holds::<f32>(rows, &[0, 3], &[]);
        assert_holds::<i64>(columns, &[2, 0], &[]);
    }
}

#[test]
fn views_of_every_layout_come_out_in_row_major_order() {
    let grid = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11_i32];
    assert_holds(
        &tensor("transposed.pt"),
        &[4, 3],
        &[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11_i32],
    );
    assert_holds(&tensor("column.pt"), &[3], &[2, 6, 10_i32]);
    assert_holds(&tensor("steps.pt"), &[2, 2], &[1, 3, 9, 11_i32]);
    assert_holds(&tensor("slice.pt"), &[2, 4], &grid[4..]);
    assert_holds(&tensor("expanded.pt"), &[2, 3], &[7, 7, 7, 8, 8, 8_u8]);
    let permuted: Vec<i64> = (0..4)
        .flat_map(|k| (0..6).map(move |row| row * 4 + k))
        .collect();
    assert_holds(&tensor("permuted.pt"), &[4, 2, 3], &permuted);
    assert_holds(
        &tensor("five_dimensions.pt"),
        &[1, 1, 5, 1, 1],
        &[0, 1, 2, 3, 4_i16],
    );
}

#[test]
fn any_range_of_a_view_is_the_same_as_that_range_of_the_whole() {
    for name in [
        "transposed.pt",
        "steps.pt",
        "permuted.pt",
        "expanded.pt",
        "tensor.pt",
    ] {
        let PtValue::Tensor(source) = pt::open(golden(VERSIONS[0], name)).unwrap() else {
            panic!("{name} holds no tensor");
        };
        let whole = source.read().unwrap().reshape([source.len()]).unwrap();
        for start in 0..=source.len() {
            for end in start..=source.len() {
                let part = source.read_range(start..end).unwrap();
                let expected = whole.slice_rows(start..end).unwrap();
                assert_eq!(part.bytes(), expected.bytes(), "{name}, {start}..{end}");
            }
        }
        for bytes in [1, 9, 16, 1000] {
            let chunks: Vec<Tensor> = source.chunks(bytes).map(Result::unwrap).collect();
            assert_eq!(Tensor::concat_rows(&chunks).unwrap().bytes(), whole.bytes());
        }
        assert_eq!(source.hash().unwrap(), source.read().unwrap().hash());
    }
}

#[test]
fn tensors_of_one_storage_are_read_each_with_its_part() {
    for version in VERSIONS {
        let tensors = pt::read_tensors(golden(version, "shared.pt")).unwrap();
        let [one, part, again] = tensors.as_slice() else {
            panic!("{tensors:?}")
        };
        assert_holds(one, &[6], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0_f32]);
        assert_holds(part, &[2], &[2.0, 3.0_f32]);
        assert_eq!(again.hash(), one.hash());
    }
}

#[test]
fn a_parameter_is_read_as_its_tensor() {
    assert_holds(&tensor("parameter.pt"), &[2], &[1.5, -2.0_f32]);
}

#[test]
fn a_state_dict_gives_its_tensors_under_their_keys_in_order() {
    for version in VERSIONS {
        let tensors = open_tensors(golden(version, "state_dict.pt")).unwrap();
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["linear.weight", "linear.bias", "norm.weight", "norm.bias"]
        );
        let weight = tensors[0].1.read().unwrap();
        assert_holds(&weight, &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0_f32]);
        assert_holds(&tensors[3].1.read().unwrap(), &[2], &[3.0, 4.0_f32]);
    }
}

fn text(text: &str) -> PtValue<Tensor> {
    PtValue::Str(text.to_owned())
}

/// What `nested.pt` holds.
fn nested() -> PtValue<Tensor> {
    let ints = |numbers: &[i64]| numbers.iter().map(|&n| PtValue::Int(n)).collect::<Vec<_>>();
    let numbers = [
        0,
        255,
        256,
        65536,
        -1,
        -(1 << 31),
        1 << 31,
        -(1 << 40),
        i64::MAX,
        i64::MIN,
    ];
    let moments = Tensor::vector(vec![1_i64, 2]);
    PtValue::Dict(vec![
        (text("numbers"), PtValue::List(ints(&numbers))),
        (
            text("floats"),
            PtValue::Tuple(vec![PtValue::Float(0.5), PtValue::Float(f64::NEG_INFINITY)]),
        ),
        (
            text("words"),
            PtValue::Tuple(vec![text(""), text("ColBERT"), text("über")]),
        ),
        (
            text("flags"),
            PtValue::List(vec![
                PtValue::Bool(true),
                PtValue::Bool(false),
                PtValue::None,
            ]),
        ),
        (PtValue::Int(7), PtValue::Dict(vec![])),
        (
            text("ordered"),
            PtValue::Dict(vec![
                (text("b"), PtValue::Int(1)),
                (text("a"), PtValue::Tuple(vec![])),
            ]),
        ),
        (text("size"), PtValue::Tuple(ints(&[2, 3]))),
        (
            text("state"),
            PtValue::Dict(vec![
                (text("step"), PtValue::Int(3)),
                (
                    text("moments"),
                    PtValue::List(vec![PtValue::Tensor(moments)]),
                ),
            ]),
        ),
        (text("four"), PtValue::Tuple(ints(&[1, 2, 3, 4]))),
    ])
}

/// A value with tensors replaced by their hashes, which compare.
fn hashed(value: PtValue<Tensor>) -> PtValue<concord_tensor::BitHash> {
    value
        .try_map(&mut |tensor| Ok::<_, std::convert::Infallible>(tensor.hash()))
        .unwrap()
}

#[test]
fn nested_containers_and_plain_values_are_read_whole() {
    for version in VERSIONS {
        let path = golden(version, "nested.pt");
        assert_eq!(hashed(pt::read(&path).unwrap()), hashed(nested()));
        let tensors = open_tensors(&path).unwrap();
        assert_eq!(tensors.len(), 1);
        assert_eq!(tensors[0].0, "state.moments.0");
    }
}

#[test]
fn a_value_written_and_read_is_the_same() {
    let mut file = Vec::new();
    pt::write_to(&mut file, "nested.pt", &nested()).unwrap();
    let container = concord_tensor::Container::from_bytes("nested.pt", file);
    let read = pt::open_container(container)
        .unwrap()
        .try_map(&mut |source| source.read());
    assert_eq!(hashed(read.unwrap()), hashed(nested()));
}

#[test]
fn what_torch_1_13_wrote_is_written_byte_for_byte() {
    let names = [
        "tensor.pt",
        "every_dtype.pt",
        "scalar.pt",
        "empty.pt",
        "five_dimensions.pt",
        "twelve.pt",
    ];
    for name in names {
        let path = golden(VERSIONS[0], name);
        let mut written = Vec::new();
        pt::write_to(&mut written, name, &pt::read(&path).unwrap()).unwrap();
        assert!(written == std::fs::read(&path).unwrap(), "{name}");
    }
}

#[test]
fn a_single_tensor_begins_where_the_reference_maps_it() {
    for dtype in DType::ALL {
        let tensor = Tensor::vector(vec![1_u8; 70_000]).cast(dtype).unwrap();
        for shape in [vec![70_000], vec![700, 100], vec![7, 100, 100]] {
            let value = PtValue::Tensor(tensor.reshape(shape).unwrap());
            for name_len in 1..=21 {
                let mut file = Vec::new();
                pt::write_to(&mut file, format!("{}.pt", "n".repeat(name_len)), &value).unwrap();
                assert!(&file[320..][..tensor.bytes().len()] == tensor.bytes());
            }
        }
    }
}

#[test]
fn the_format_from_before_the_archives_is_refused_with_advice() {
    let error = pt::open(golden(VERSIONS[0], "legacy.pt")).unwrap_err();
    assert!(matches!(
        error.problem,
        FileProblem::Pt(PtProblem::LegacyFormat)
    ));
    assert!(error.to_string().contains("legacy.pt: "));
    assert!(error.to_string().contains("save it again"));
}

#[test]
fn a_pickle_of_protocol_4_is_read() {
    let read = pt::read_tensor(golden(VERSIONS[0], "protocol_4.pt")).unwrap();
    assert_holds(&read, &[2], &[1.0, 1.0_f32]);
}

#[test]
fn a_pickled_module_is_kept_by_the_name_of_its_class() {
    let path = golden(VERSIONS[0], "module.pt");
    let module = pt::open(&path).unwrap();
    assert_eq!(
        module.description(),
        "an object of torch.nn.modules.linear.Linear"
    );
    let error = pt::read_tensor(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("found an object of torch.nn.modules.linear.Linear"),
        "{error}"
    );
}

#[test]
fn another_value_than_the_one_asked_for_is_named() {
    let error = pt::read_tensor(golden(VERSIONS[0], "nested.pt")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("expected a tensor, found a dict"),
        "{error}"
    );
    let error = pt::read_tensors(golden(VERSIONS[0], "state_dict.pt")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("expected a tuple of tensors, found a dict"),
        "{error}"
    );
}

#[test]
fn bf16_elements_are_read_as_they_are() {
    let tensors = pt::read_tensors(golden(VERSIONS[1], "every_dtype.pt")).unwrap();
    assert_holds(&tensors[7], &[3], &[bf16::ZERO, bf16::ONE, bf16::ONE]);
}
