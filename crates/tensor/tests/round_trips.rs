//! Whatever is written is read back with the same bits.

#![allow(clippy::unwrap_used)] // in the bodies of properties

mod random;

use concord_tensor::pt::{self, PtValue, TensorFileWriter};
use concord_tensor::{Container, DType, FileProblem, Tensor, npy, open_tensors, safetensors};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = PtValue<Tensor>> {
    let leaf = prop_oneof![
        4 => random::tensor().prop_map(PtValue::Tensor),
        1 => any::<i64>().prop_map(PtValue::Int),
        1 => (-1e9..1e9).prop_map(PtValue::Float),
        1 => ".{0,20}".prop_map(PtValue::Str),
        1 => any::<bool>().prop_map(PtValue::Bool),
        1 => Just(PtValue::None),
    ];
    leaf.prop_recursive(3, 20, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(PtValue::Tuple),
            proptest::collection::vec(inner.clone(), 0..6).prop_map(PtValue::List),
            proptest::collection::btree_map(".{0,8}", inner.clone(), 0..6).prop_map(|map| {
                PtValue::Dict(map.into_iter().map(|(k, v)| (PtValue::Str(k), v)).collect())
            }),
            proptest::collection::btree_map(any::<i64>(), inner, 0..6).prop_map(|map| {
                PtValue::Dict(map.into_iter().map(|(k, v)| (PtValue::Int(k), v)).collect())
            }),
        ]
    })
}

/// A value with tensors replaced by their hashes, which compare.
fn hashed(value: PtValue<Tensor>) -> PtValue<concord_tensor::BitHash> {
    value
        .try_map(&mut |tensor| Ok::<_, std::convert::Infallible>(tensor.hash()))
        .unwrap()
}

proptest! {
    #[test]
    fn a_pytorch_file_gives_back_its_value(value in value()) {
        let mut file = Vec::new();
        pt::write_to(&mut file, "value.pt", &value).unwrap();
        let opened = pt::open_container(Container::from_bytes("value.pt", file)).unwrap();
        let read = opened.try_map(&mut |source| source.read()).unwrap();
        prop_assert_eq!(hashed(read), hashed(value));
    }

    #[test]
    fn a_safetensors_file_gives_back_its_tensors(
        tensors in proptest::collection::btree_map(".{1,8}", random::tensor(), 0..6),
    ) {
        prop_assume!(!tensors.contains_key("__metadata__"));
        let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
        let mut file = Vec::new();
        safetensors::write_to(&mut file, "x.safetensors", &tensors).unwrap();
        let container = Container::from_bytes("x.safetensors", file);
        let mut read = safetensors::open_container(container).unwrap();
        read.sort_by(|(a, _), (b, _)| a.cmp(b));
        prop_assert_eq!(read.len(), tensors.len());
        for ((name, source), (expected_name, expected)) in read.iter().zip(&tensors) {
            prop_assert_eq!(name, expected_name);
            prop_assert_eq!(source.read().unwrap().hash(), expected.hash());
        }
    }

    #[test]
    fn an_npy_file_gives_back_its_tensor(tensor in random::tensor()) {
        prop_assume!(tensor.dtype() != DType::BF16);
        let mut file = Vec::new();
        npy::write_to(&mut file, "x.npy", &tensor).unwrap();
        let opened = npy::open_container(Container::from_bytes("x.npy", file)).unwrap();
        prop_assert_eq!(opened.read().unwrap().hash(), tensor.hash());
        prop_assert_eq!(opened.hash().unwrap(), tensor.hash());
    }

    #[test]
    fn chunks_put_together_are_the_tensor(tensor in random::tensor(), bytes in 0_usize..64) {
        let mut file = Vec::new();
        pt::write_to(&mut file, "x.pt", &PtValue::Tensor(tensor.clone())).unwrap();
        let opened = pt::open_container(Container::from_bytes("x.pt", file)).unwrap();
        let PtValue::Tensor(source) = opened else { panic!("{}", opened.kind()) };
        let mut all = Vec::new();
        for chunk in source.chunks(bytes) {
            let chunk = chunk.unwrap();
            prop_assert!(chunk.bytes().len() <= bytes.max(tensor.dtype().size()));
            all.extend_from_slice(chunk.bytes());
        }
        prop_assert_eq!(all, tensor.bytes());
    }
}

#[test]
fn a_file_written_in_rows_is_the_file_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let [rows, whole] = ["rows", "whole"].map(|name| folder.path().join(name).join("x.codes.pt"));
    for path in [&rows, &whole] {
        std::fs::create_dir(path.parent().unwrap()).unwrap();
    }
    let tensor = Tensor::new([7, 3], (0..21).map(|n| n as f32).collect()).unwrap();
    pt::write(&whole, &PtValue::Tensor(tensor.clone())).unwrap();

    let mut writer = TensorFileWriter::create(&rows, DType::F32, &[7, 3]).unwrap();
    for range in [0..2, 2..2, 2..7] {
        assert!(!rows.exists());
        writer.append(&tensor.slice_rows(range).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(
        std::fs::read(&rows).unwrap(),
        std::fs::read(&whole).unwrap()
    );
}

#[test]
fn a_file_written_in_rows_is_refused_if_rows_are_missing_or_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    let row = Tensor::vector(vec![1_u8, 2, 3]);
    let begun = || TensorFileWriter::create(&path, DType::U8, &[2, 3]).unwrap();

    let mut writer = begun();
    writer.append(&row).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(matches!(
        error.problem,
        FileProblem::WrongPayload {
            expected: 6,
            actual: 3
        }
    ));

    let mut writer = begun();
    writer.append(&row).unwrap();
    writer.append(&row).unwrap();
    let error = writer.append(&row).unwrap_err();
    assert!(matches!(
        error.problem,
        FileProblem::WrongPayload {
            expected: 6,
            actual: 9
        }
    ));
    let error = writer.append(&Tensor::scalar(1_i8)).unwrap_err();
    assert!(error.to_string().contains("holds i8, not u8"), "{error}");

    drop(writer);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "something was left behind"
    );
}

#[test]
fn every_format_is_opened_by_the_ending_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = Tensor::vector(vec![1.5_f32, -0.0]);
    let named = vec![("a".to_owned(), tensor.clone())];
    let path = |name: &str| folder.path().join(name);
    for name in ["x.pt", "x.pth", "x.bin"] {
        pt::write(path(name), &PtValue::Tensor(tensor.clone())).unwrap();
    }
    npy::write(path("x.npy"), &tensor).unwrap();
    safetensors::write(path("x.safetensors"), &named).unwrap();
    for name in ["x.pt", "x.pth", "x.bin", "x.npy", "x.safetensors"] {
        let tensors = open_tensors(path(name)).unwrap();
        let [(found, source)] = tensors.as_slice() else {
            panic!("{tensors:?}")
        };
        assert_eq!(found, if name == "x.safetensors" { "a" } else { "" });
        assert_eq!(source.path(), path(name));
        assert_eq!(source.hash().unwrap(), tensor.hash());
    }
    let error = open_tensors(path("x.txt")).unwrap_err();
    assert!(matches!(error.problem, FileProblem::UnknownExtension));
}

#[test]
fn a_missing_file_is_named() {
    let error = open_tensors("no/such/file.pt").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such/file.pt: cannot open the file: "),
        "{error}"
    );
}

#[test]
fn the_same_tensors_make_the_same_safetensors_file_in_any_order() {
    let a = ("a".to_owned(), Tensor::vector(vec![1_u8]));
    let b = ("b".to_owned(), Tensor::vector(vec![2_i64]));
    let file = |tensors: &[(String, Tensor)]| {
        let mut file = Vec::new();
        safetensors::write_to(&mut file, "x.safetensors", tensors).unwrap();
        file
    };
    assert_eq!(file(&[a.clone(), b.clone()]), file(&[b, a.clone()]));
    let error = safetensors::write_to(Vec::new(), "x.safetensors", &[a.clone(), a]).unwrap_err();
    assert!(
        error.to_string().contains("two tensors of the name \"a\""),
        "{error}"
    );
}

#[test]
fn a_name_that_safetensors_reserve_is_refused() {
    let tensor = ("__metadata__".to_owned(), Tensor::scalar(1_u8));
    let error = safetensors::write_to(Vec::new(), "x.safetensors", &[tensor]).unwrap_err();
    assert!(
        error.to_string().contains("which the format reserves"),
        "{error}"
    );
}
