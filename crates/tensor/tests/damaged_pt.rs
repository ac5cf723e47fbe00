//! Every way in which a PyTorch file can be wrong is its own error.

#![allow(clippy::unwrap_used)] // in the functions that tests share

mod archive;

use archive::{Archive, int, pickle, tensor, text};
use concord_tensor::pt::{self, PtProblem, PtValue};
use concord_tensor::{Container, FileError, FileProblem, Tensor, TensorError, TensorSource};

fn open(file: Vec<u8>) -> Result<PtValue<TensorSource>, FileError> {
    pt::open_container(Container::from_bytes("x.pt", file))
}

fn problem(file: Vec<u8>) -> PtProblem {
    match open(file).unwrap_err().problem {
        FileProblem::Pt(problem) => problem,
        other => panic!("{other:?}"),
    }
}

/// The problem of a file whose pickle has these instructions, and one storage of four bytes.
fn pickle_problem(instructions: &[u8]) -> PtProblem {
    problem(Archive::of(&pickle(instructions), &[&[1, 2, 3, 4]]).finish())
}

fn written() -> Vec<u8> {
    let mut file = Vec::new();
    let value = PtValue::Tensor(Tensor::vector(vec![1.0_f32; 100]));
    pt::write_to(&mut file, "x.pt", &value).unwrap();
    file
}

#[test]
fn the_hand_made_archive_is_a_good_one() {
    let view = tensor("ByteStorage", "0", 4, 1, &[3], &[1]);
    let value = open(Archive::of(&pickle(&view), &[&[1, 2, 3, 4]]).finish()).unwrap();
    let PtValue::Tensor(source) = value else {
        panic!("{}", value.kind())
    };
    assert_eq!(source.entry(), "x/data/0");
    assert_eq!(source.read().unwrap().as_slice::<u8>().unwrap(), [2, 3, 4]);
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    for file in [&b"x"[..], b"\x93NUMPY", &[0; 100]] {
        assert_eq!(problem(file.to_vec()), PtProblem::NotAnArchive);
    }
}

#[test]
fn a_truncated_archive_is_reported_with_its_length() {
    let mut file = written();
    file.truncate(500);
    assert_eq!(problem(file), PtProblem::TruncatedArchive { len: 500 });
}

#[test]
fn an_archive_that_lost_bytes_in_the_middle_is_reported_with_the_place() {
    let mut file = written();
    file.drain(330..400);
    let error = open(file).unwrap_err();
    let expected = "x.pt: the file ends at byte 1043, but the archive's end record takes bytes \
                    1015 to 1071: it is truncated or damaged";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_archive_of_other_things_is_not_one_of_torch() {
    let file = Archive::new().with("x/readme.txt", b"hello").finish();
    assert_eq!(problem(file), PtProblem::NotATorchArchive);
    assert_eq!(
        problem(Archive::new().finish()),
        PtProblem::NotATorchArchive
    );
    assert_eq!(
        problem(Archive::new().with("flat", b"").finish()),
        PtProblem::NotATorchArchive
    );
}

#[test]
fn a_compressed_entry_is_named_with_its_method() {
    let file = Archive::new()
        .with_method(b"x/data.pkl", b"..", 8, 0)
        .finish();
    let entry = "x/data.pkl".to_owned();
    assert_eq!(
        problem(file),
        PtProblem::CompressedEntry { entry, method: 8 }
    );
}

#[test]
fn an_encrypted_entry_is_named() {
    let file = Archive::new()
        .with_method(b"x/data.pkl", b"..", 0, 1)
        .finish();
    assert_eq!(
        problem(file),
        PtProblem::EncryptedEntry {
            entry: "x/data.pkl".to_owned()
        }
    );
}

#[test]
fn an_entry_that_comes_twice_is_named() {
    let file = Archive::of(&pickle(b"N"), &[])
        .with("x/data.pkl", b"")
        .finish();
    assert_eq!(
        problem(file),
        PtProblem::DuplicateEntry {
            entry: "x/data.pkl".to_owned()
        }
    );
}

#[test]
fn an_entry_name_must_be_text() {
    let file = Archive::new().with_method(b"x/\xff", b"", 0, 0).finish();
    assert_eq!(
        problem(file),
        PtProblem::EntryNameNotUtf8 {
            entry: "x/\u{fffd}".to_owned()
        }
    );
}

#[test]
fn big_endian_tensors_are_refused() {
    let archive = Archive::of(&pickle(b"N"), &[]);
    let file = archive.with("x/byteorder", b"big").finish();
    assert_eq!(
        problem(file),
        PtProblem::ByteOrder {
            order: "big".to_owned()
        }
    );
}

#[test]
fn a_directory_that_points_elsewhere_is_reported_with_the_place() {
    let mut file = Archive::of(&pickle(b"N"), &[]).finish();
    file[0] = b'X';
    let entry = "x/data.pkl".to_owned();
    assert_eq!(
        problem(file),
        PtProblem::DamagedEntryHeader { entry, at: 0 }
    );
}

#[test]
fn a_missing_storage_is_named() {
    let view = tensor("ByteStorage", "7", 4, 0, &[4], &[1]);
    let entry = "x/data/7".to_owned();
    assert_eq!(pickle_problem(&view), PtProblem::MissingStorage { entry });
}

#[test]
fn a_storage_must_have_the_size_the_pickle_says() {
    for (class, count, expected) in [
        ("ByteStorage", 5, 5),
        ("FloatStorage", 4, 16),
        ("LongStorage", i64::MAX, u64::MAX),
    ] {
        match pickle_problem(&tensor(class, "0", count, 0, &[1], &[1])) {
            PtProblem::StorageSize {
                expected: found,
                actual: 4,
                ..
            } => assert_eq!(found, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_view_must_stay_within_its_storage() {
    let huge = i64::MAX;
    let views: [(i64, &[i64], &[i64]); 6] = [
        (0, &[5], &[1]),
        (1, &[4], &[1]),
        (4, &[], &[]),
        (0, &[2, 2], &[3, 1]),
        (0, &[2], &[huge]),
        (huge, &[2, 2], &[huge, huge]),
    ];
    for (offset, shape, strides) in views {
        match pickle_problem(&tensor("ByteStorage", "0", 4, offset, shape, strides)) {
            PtProblem::ViewOutOfStorage {
                count: 4, entry, ..
            } => assert_eq!(entry, "x/data/0"),
            other => panic!("{shape:?}: {other:?}"),
        }
    }
}

#[test]
fn a_view_larger_than_memory_is_refused() {
    let view = tensor("ByteStorage", "0", 4, 0, &[i64::MAX, 2], &[0, 0]);
    let error = open(Archive::of(&pickle(&view), &[&[1, 2, 3, 4]]).finish()).unwrap_err();
    match error.problem {
        FileProblem::Tensor {
            source: TensorError::ShapeTooLarge { .. },
            ..
        } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_file_does_not_become_a_large_tensor() {
    let view = tensor("ByteStorage", "0", 4, 0, &[1 << 40], &[0]);
    match pickle_problem(&view) {
        PtProblem::Inflated { bytes, .. } => assert_eq!(bytes, 1 << 40),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sizes_are_not_negative_and_have_strides() {
    for (offset, shape, strides) in [
        (-1, vec![1], vec![1]),
        (0, vec![-1], vec![1]),
        (0, vec![1], vec![-1]),
        (0, vec![1], vec![]),
    ] {
        match pickle_problem(&tensor("ByteStorage", "0", 4, offset, &shape, &strides)) {
            PtProblem::BadCall {
                function: "torch._utils._rebuild_tensor_v2",
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tensor_has_at_most_64_dimensions() {
    let view = tensor("ByteStorage", "0", 4, 0, &[1; 65], &[1; 65]);
    let error = pickle_problem(&view);
    assert!(
        error.to_string().contains("more than the 64 dimensions"),
        "{error}"
    );
}

/// What the pickle is read as that has these instructions, and one storage of four bytes.
fn read_as(instructions: &[u8]) -> PtValue<TensorSource> {
    open(Archive::of(&pickle(instructions), &[&[1, 2, 3, 4]]).finish()).unwrap()
}

#[test]
fn a_class_that_is_not_known_is_kept_by_its_name_and_never_called() {
    let dangerous = [b"cos\nsystem\n(".to_vec(), text("true"), b"tR".to_vec()].concat();
    assert_eq!(read_as(&dangerous).description(), "an object of os.system");
    let modern = [
        b"N0".to_vec(),
        text("builtins"),
        text("eval"),
        b"\x93".to_vec(),
    ]
    .concat();
    assert_eq!(read_as(&modern).description(), "the class or function eval");
    let named = [&modern[..], b")}\x92"].concat();
    assert_eq!(read_as(&named).description(), "an object of eval");
}

#[test]
fn tensors_beside_an_object_that_is_not_known_are_read() {
    let view = tensor("ByteStorage", "0", 4, 0, &[4], &[1]);
    let object = b"cargparse\nNamespace\n)\x81}b".to_vec();
    let items = [
        b"}(".to_vec(),
        text("args"),
        object,
        text("x"),
        view,
        b"u".to_vec(),
    ];
    let tensors = read_as(&items.concat()).tensors();
    assert_eq!(tensors.len(), 1);
    assert_eq!(tensors[0].0, "x");
}

#[test]
fn a_tensor_of_elements_that_are_not_computed_with_hides_no_other() {
    let items = [
        b"](".to_vec(),
        tensor("ComplexFloatStorage", "1", 1, 0, &[1], &[1]),
        tensor("ByteStorage", "0", 4, 0, &[4], &[1]),
        b"e".to_vec(),
    ];
    let archive = Archive::of(&pickle(&items.concat()), &[&[1, 2, 3, 4], &[0; 8]]);
    let PtValue::List(items) = open(archive.finish()).unwrap() else {
        panic!("no list")
    };
    assert!(
        items[0].description().starts_with("a tensor of c64"),
        "{}",
        items[0].description()
    );
    assert_eq!(items[1].kind(), "a tensor");
}

#[test]
fn an_instruction_that_tensors_do_not_need_is_named() {
    assert_eq!(
        pickle_problem(b"N\x82"),
        PtProblem::UnsupportedOpcode {
            opcode: 0x82,
            at: 3
        }
    );
}

#[test]
fn a_pickle_that_ends_early_is_reported_with_its_length() {
    let file = Archive::of(b"\x80\x02X\x05\0\0\0abc", &[]).finish();
    assert_eq!(problem(file), PtProblem::PickleEnds { at: 10 });
    let file = Archive::of(b"\x80\x02N", &[]).finish();
    assert_eq!(problem(file), PtProblem::PickleEnds { at: 3 });
}

#[test]
fn an_unknown_protocol_is_refused() {
    let file = Archive::of(b"\x80\x06N.", &[]).finish();
    assert_eq!(problem(file), PtProblem::PickleProtocol { protocol: 6 });
}

#[test]
fn an_instruction_on_the_wrong_kind_of_value_is_reported() {
    let cases: [(&[u8], &str); 9] = [
        (b"0", "a value on the stack"),
        (b"t", "a mark on the stack"),
        (b"(0.", "a value on the stack"),
        (b"h\x05", "a remembered value"),
        (b"NNa", "a list"),
        (b"NNNs", "a dict"),
        (b"}(Nu", "as many values as keys"),
        (b"NNR", "a class or function"),
        (b"NNb", "an object that can have a state"),
    ];
    for (instructions, expected) in cases {
        match pickle_problem(instructions) {
            PtProblem::BadOperand { needs, .. } => assert_eq!(needs, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn an_integer_beyond_64_bits_is_kept_with_its_size() {
    let long = [&[0x8a, 9][..], &[1; 9]].concat();
    assert_eq!(read_as(&long).description(), "an integer of 9 bytes");
    let padded = [&[0x8a, 12, 5][..], &[0; 11]].concat();
    assert!(matches!(read_as(&padded), PtValue::Int(5)));
    let negative = [&[0x8a, 12, 0x80][..], &[0xff; 11]].concat();
    assert!(matches!(read_as(&negative), PtValue::Int(-128)));
}

#[test]
fn a_string_must_be_utf_8() {
    assert_eq!(
        pickle_problem(b"X\x01\0\0\0\xff"),
        PtProblem::StringNotUtf8 { at: 2 }
    );
}

#[test]
fn a_class_or_a_storage_by_itself_is_kept() {
    let class = read_as(b"ctorch\nFloatStorage\n");
    assert_eq!(
        class.description(),
        "the class or function torch.FloatStorage"
    );
    let view = tensor("ByteStorage", "0", 4, 0, &[4], &[1]);
    let storage = &view[b"ctorch._utils\n_rebuild_tensor_v2\n(".len()..];
    let end = storage.iter().position(|&byte| byte == b'Q').unwrap();
    assert_eq!(read_as(&storage[..=end]).description(), "a storage");
}

#[test]
fn only_strings_and_integers_are_written_as_keys() {
    let PtValue::Dict(items) = read_as(b"}NNs") else {
        panic!("no dict")
    };
    assert_eq!(items[0].0.description(), "None");
    let mut out = Vec::new();
    let value = PtValue::Dict(vec![(PtValue::Bool(true), PtValue::None)]);
    let error = pt::write_to(&mut out, "x.pt", &value).unwrap_err();
    assert!(
        error.to_string().contains("a dict whose key is a bool"),
        "{error}"
    );
}

#[test]
fn a_key_set_again_keeps_its_place_and_gets_the_new_value() {
    let items = [
        b"}(".to_vec(),
        text("a"),
        int(1),
        text("b"),
        int(2),
        text("a"),
        int(3),
        b"u".to_vec(),
    ];
    let value = open(Archive::of(&pickle(&items.concat()), &[]).finish()).unwrap();
    assert!(matches!(value.get("a"), Some(PtValue::Int(3))));
    let PtValue::Dict(items) = &value else {
        panic!("{}", value.kind())
    };
    assert_eq!(items.len(), 2);
    assert!(matches!(&items[0].0, PtValue::Str(key) if key == "a"));
}

#[test]
fn a_list_that_contains_itself_is_refused() {
    assert_eq!(
        pickle_problem(b"]q\0h\0a"),
        PtProblem::TooDeep { limit: 64 }
    );
}

#[test]
fn deep_nesting_is_refused_without_exhausting_the_stack() {
    let deep = [&b"N"[..], &[0x85; 200_000]].concat();
    assert_eq!(pickle_problem(&deep), PtProblem::TooDeep { limit: 64 });
}

#[test]
fn a_short_pickle_does_not_become_a_large_value() {
    // Each of forty tuples holds the one before it twice.
    let doubling = [&b")"[..], &b"2\x86".repeat(40)].concat();
    let error = pickle_problem(&doubling);
    assert!(
        matches!(error, PtProblem::TooLarge { limit } if limit < 25 << 20),
        "{error}"
    );
}

#[test]
fn what_a_pickle_remembers_is_counted() {
    // Lists, which are mutable and so never shared, and names for one value, far apart.
    let lists = b"]q\0".repeat(1 << 20);
    let names: Vec<u8> = (0..1 << 20)
        .flat_map(|n: u32| [b"r", &(n * 4000).to_le_bytes()[..]].concat())
        .collect();
    for instructions in [lists, [b"N", &names[..]].concat()] {
        let error = pickle_problem(&instructions);
        assert!(matches!(error, PtProblem::TooLarge { .. }), "{error}");
    }
}

#[test]
fn sets_of_one_long_list_are_counted() {
    let list = [&b"]("[..], &b"N".repeat(100_000), b"eq\x000"].concat();
    let sets = b"c__builtin__\nset\n(h\0tR".repeat(1000);
    let error = pickle_problem(&[list, sets].concat());
    assert!(matches!(error, PtProblem::TooLarge { .. }), "{error}");
}

#[test]
fn a_dict_does_not_hide_work_behind_keys_that_come_again() {
    // A dict that sets one key ten thousand times, in a list a thousand times: it has one key.
    let sets = [text("k"), b"N".to_vec()].concat().repeat(10_000);
    let dict = [&b"}("[..], &sets, b"uq\0"].concat();
    let list = [&b"]("[..], &dict, &b"h\0".repeat(1_000), b"e"].concat();
    assert!(matches!(read_as(&list), PtValue::List(dicts) if dicts.len() == 1_001));
}

#[test]
fn long_keys_that_come_again_and_again_are_refused() {
    let key = [&b"("[..], &b"N".repeat(100_000), b"tq\x000"].concat();
    let dict = [&b"}("[..], &b"h\0N".repeat(10_000), b"u"].concat();
    assert_eq!(
        pickle_problem(&[key, dict].concat()),
        PtProblem::RepeatedKeys
    );
}

#[test]
fn long_keys_do_not_multiply() {
    // A key of a megabyte above a list of a thousand tensors.
    let view = tensor("ByteStorage", "0", 4, 0, &[4], &[1]);
    let key = text(&"k".repeat(1 << 20));
    let list = [&b"]("[..], &view, b"q\0", &b"h\0".repeat(1_000), b"e"].concat();
    let error = pickle_problem(&[b"}".to_vec(), key, list, b"s".to_vec()].concat());
    assert!(matches!(error, PtProblem::TooLarge { .. }), "{error}");
    let error = pickle_problem(&tensor("ByteStorage", &"0".repeat(256), 4, 0, &[4], &[1]));
    assert!(
        error
            .to_string()
            .contains("longer than any that PyTorch makes"),
        "{error}"
    );
}

#[test]
fn a_negated_view_is_none_of_the_tensors() {
    let plain = tensor("ByteStorage", "0", 4, 0, &[4], &[1]);
    let flags = [b"}".to_vec(), text("neg"), b"\x88s".to_vec()].concat();
    let (arguments, call) = plain.split_at(plain.len() - 2);
    let value = read_as(&[arguments, &flags, call].concat());
    assert_eq!(
        value.description(),
        "an object of torch._utils._rebuild_tensor_v2"
    );
    assert!(value.tensors().is_empty());
}

#[test]
fn an_expanded_tensor_of_modest_size_is_read_and_a_huge_one_is_not() {
    let expanded = |size: i64| tensor("ByteStorage", "0", 4, 0, &[size, 4], &[0, 1]);
    let PtValue::Tensor(modest) = read_as(&expanded(1 << 20)) else {
        panic!("no tensor")
    };
    assert_eq!(modest.read().unwrap().shape(), [1 << 20, 4]);
    let many = [b"(".to_vec(), expanded(1 << 20).repeat(8), b"t".to_vec()].concat();
    for huge in [expanded(1 << 28), many] {
        let error = pickle_problem(&huge);
        assert!(matches!(error, PtProblem::Inflated { .. }), "{error}");
    }
}

#[test]
fn torchscript_is_named_with_what_to_do() {
    let file = Archive::of(&pickle(b"N"), &[])
        .with("x/constants.pkl", b"")
        .finish();
    let error = open(file).unwrap_err().to_string();
    assert!(
        error.contains("TorchScript") && error.contains("state_dict()"),
        "{error}"
    );
}

#[test]
fn a_bool_that_is_neither_0_nor_1_is_found_when_it_is_read() {
    let view = tensor("BoolStorage", "0", 4, 0, &[4], &[1]);
    let opened = open(Archive::of(&pickle(&view), &[&[0, 1, 0, 9]]).finish()).unwrap();
    let PtValue::Tensor(source) = opened else {
        panic!("{}", opened.kind())
    };
    assert!(source.read_range(0..3).is_ok());
    for error in [
        source.read().unwrap_err(),
        source.read_range(2..4).unwrap_err(),
    ] {
        match error.problem {
            FileProblem::Tensor {
                name,
                source: TensorError::InvalidBool { index: 3, byte: 9 },
            } => {
                assert_eq!(name, "x/data/0");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(source.hash().is_err());
}

#[test]
fn a_range_beyond_the_tensor_is_refused() {
    let view = tensor("ByteStorage", "0", 4, 0, &[4], &[1]);
    let opened = open(Archive::of(&pickle(&view), &[&[0, 1, 0, 9]]).finish()).unwrap();
    let PtValue::Tensor(source) = opened else {
        panic!("{}", opened.kind())
    };
    let error = source.read_range(3..5).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("elements 3..5 are not within a tensor of 4 elements")
    );
}

#[test]
fn a_file_name_without_a_stem_cannot_name_the_folder() {
    for name in ["", ".pt", ".."] {
        let error = pt::write_to(Vec::new(), name, &PtValue::None).unwrap_err();
        assert!(
            matches!(error.problem, FileProblem::Pt(PtProblem::NoArchiveName)),
            "{name}"
        );
    }
}

#[test]
fn a_tensor_of_too_many_dimensions_is_not_written() {
    let tensor = Tensor::scalar(1_u8).reshape([1; 65]).unwrap();
    let error = pt::write_to(Vec::new(), "x.pt", &PtValue::Tensor(tensor)).unwrap_err();
    assert!(error.to_string().contains("65 dimensions"), "{error}");
}
