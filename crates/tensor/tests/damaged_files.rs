//! Files with random damage, and what is wrong with `.npy` and `.safetensors` files.

#![allow(clippy::unwrap_used)] // in the functions that tests share

mod random;

use concord_tensor::npy::{self, NpyProblem};
use concord_tensor::pt::{self, PtValue};
use concord_tensor::safetensors::{self, SafetensorsProblem};
use concord_tensor::{Container, FileError, FileProblem, Tensor, TensorSource};
use proptest::prelude::*;
use proptest::sample::Index;

/// What may happen to a file.
#[derive(Clone, Debug)]
enum Damage {
    Truncate(Index),
    Flip(Vec<(Index, u8)>),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
}

impl Damage {
    fn any() -> impl Strategy<Value = Damage> {
        prop_oneof![
            any::<Index>().prop_map(Damage::Truncate),
            proptest::collection::vec((any::<Index>(), 1..=u8::MAX), 1..6).prop_map(Damage::Flip),
            (any::<Index>(), 1_usize..50).prop_map(|(at, len)| Damage::Remove(at, len)),
            (
                any::<Index>(),
                proptest::collection::vec(any::<u8>(), 1..20)
            )
                .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        ]
    }

    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Damage::Truncate(at) => file.truncate(at.index(file.len())),
            Damage::Flip(flips) => {
                for (at, bits) in flips {
                    let at = at.index(file.len());
                    file[at] ^= bits;
                }
            }
            Damage::Remove(at, len) => {
                let at = at.index(file.len());
                let end = (at + len).min(file.len());
                file.drain(at..end);
            }
            Damage::Insert(at, bytes) => {
                let at = at.index(file.len());
                file.splice(at..at, bytes.iter().copied());
            }
        }
    }
}

/// Reads everything there is to read; an error is as good as success.
fn exhaust(sources: Vec<(String, TensorSource)>) {
    for (_, source) in sources {
        if let Ok(tensor) = source.read() {
            assert_eq!(source.hash().unwrap(), tensor.hash());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_damaged_pytorch_file_is_an_error_or_a_value(
        a in random::tensor(),
        b in random::tensor(),
        damage in Damage::any(),
    ) {
        let mut file = Vec::new();
        let state = PtValue::Dict(vec![
            (PtValue::Str("a".to_owned()), PtValue::Tensor(a)),
            (PtValue::Str("b".to_owned()), PtValue::List(vec![PtValue::Tensor(b)])),
        ]);
        pt::write_to(&mut file, "x.pt", &state).unwrap();
        damage.apply(&mut file);
        if let Ok(value) = pt::open_container(Container::from_bytes("x.pt", file)) {
            exhaust(value.tensors());
        }
    }

    #[test]
    fn a_damaged_safetensors_file_is_an_error_or_tensors(
        tensor in random::tensor(),
        damage in Damage::any(),
    ) {
        let mut file = Vec::new();
        safetensors::write_to(&mut file, "x", &[("a".to_owned(), tensor)]).unwrap();
        damage.apply(&mut file);
        if let Ok(sources) = safetensors::open_container(Container::from_bytes("x", file)) {
            exhaust(sources);
        }
    }

    #[test]
    fn a_damaged_npy_file_is_an_error_or_a_tensor(
        tensor in random::tensor_of(concord_tensor::DType::F32),
        damage in Damage::any(),
    ) {
        let mut file = Vec::new();
        npy::write_to(&mut file, "x", &tensor).unwrap();
        damage.apply(&mut file);
        if let Ok(source) = npy::open_container(Container::from_bytes("x", file)) {
            exhaust(vec![(String::new(), source)]);
        }
    }
}

fn open_safetensors(
    header: &str,
    payload: &[u8],
) -> Result<Vec<(String, TensorSource)>, FileError> {
    let file = [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        payload,
    ]
    .concat();
    safetensors::open_container(Container::from_bytes("x", file))
}

fn safetensors_problem(header: &str, payload: &[u8]) -> SafetensorsProblem {
    match open_safetensors(header, payload).unwrap_err().problem {
        FileProblem::Safetensors(problem) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn safetensors_that_do_not_fill_the_file_are_refused() {
    let header = r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#;
    assert!(open_safetensors(header, &[1, 2, 3]).is_ok());
    for len in [0, 2, 4] {
        let problem = safetensors_problem(header, &vec![0; len]);
        let (described, actual) = (3, len as u64);
        assert_eq!(
            problem,
            SafetensorsProblem::PayloadSize { described, actual }
        );
    }
}

#[test]
fn an_inconsistent_safetensors_header_is_explained() {
    let wrong = [
        "[]",
        "{",
        r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}"#,
        r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}"#,
        r#"{"a":{"dtype":"U9","shape":[3],"data_offsets":[0,3]}}"#,
        r#"{"a":{"dtype":"U8","shape":[18446744073709551615,2],"data_offsets":[0,3]}}"#,
    ];
    for header in wrong {
        let problem = safetensors_problem(header, &[1, 2, 3]);
        assert!(
            matches!(problem, SafetensorsProblem::InvalidHeader { .. }),
            "{header}"
        );
    }
}

#[test]
fn a_safetensors_dtype_that_is_not_supported_is_named() {
    let header = r#"{"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}"#;
    let problem = safetensors_problem(header, &[1, 2, 3]);
    assert_eq!(
        problem.to_string(),
        "tensor \"a\" has dtype F8_E4M3, which is not supported",
    );
}

#[test]
fn an_absurd_safetensors_header_length_is_refused() {
    let container = Container::from_bytes("x", vec![0xff; 20]);
    let error = safetensors::open_container(container).unwrap_err();
    assert!(
        error.to_string().contains("more than the 100000000"),
        "{error}"
    );
    let short = Container::from_bytes("x", vec![1, 2, 3]);
    let error = safetensors::open_container(short).unwrap_err();
    assert!(
        error.to_string().contains("the file ends at byte 3"),
        "{error}"
    );
}

fn npy_file(header: &str, payload: &[u8]) -> Container {
    let len = (header.len() as u16).to_le_bytes();
    let file = [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), payload].concat();
    Container::from_bytes("x.npy", file)
}

fn npy_problem(container: Container) -> NpyProblem {
    match npy::open_container(container).unwrap_err().problem {
        FileProblem::Npy(problem) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_npy_header_is_read_in_any_order_and_spacing() {
    let container = npy_file(
        " { \"shape\":(2 ,1L), 'fortran_order' :False,'descr':'<i2'} \n",
        &[1, 0, 2, 0],
    );
    let tensor = npy::open_container(container).unwrap().read().unwrap();
    assert_eq!(
        tensor.hash(),
        Tensor::new([2, 1], vec![1_i16, 2]).unwrap().hash()
    );
}

#[test]
fn a_damaged_npy_header_is_reported_with_the_place() {
    let cases = [
        ("", 0),
        ("{", 1),
        ("{'descr': 1}", 10),
        ("{'descr': '<f4', 'descr': '<f4'}", 17),
        ("{'other': '<f4'}", 1),
        ("{'descr': '<f4', 'shape': (1,)}", 31),
        ("{'fortran_order': Maybe}", 18),
        ("{'shape': (99999999999999999999,)}", 11),
        ("{'shape': (1 2)}", 13),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x",
            54,
        ),
    ];
    for (header, expected) in cases {
        match npy_problem(npy_file(header, &[])) {
            NpyProblem::InvalidHeader { at, .. } => assert_eq!(at, expected, "{header}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_array_that_does_not_fill_the_file_is_refused() {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
    for actual in [0, 7, 9] {
        let problem = npy_problem(npy_file(header, &vec![0; actual as usize]));
        assert_eq!(
            problem,
            NpyProblem::PayloadSize {
                expected: 8,
                actual
            }
        );
    }
}

#[test]
fn what_is_not_npy_is_said_to_be_so() {
    for file in [&b"\x93NUMPY"[..], b"PK\x03\x04aaaaaaa"] {
        let container = Container::from_bytes("x.npy", file.to_vec());
        assert_eq!(npy_problem(container), NpyProblem::NotNpy);
    }
    let container = Container::from_bytes("x.npy", b"\x93NUMPY\x04\0\0\0".to_vec());
    assert_eq!(
        npy_problem(container),
        NpyProblem::UnsupportedVersion { major: 4, minor: 0 }
    );
}
