//! Single files through the program: values beside tensors, and options that have nothing to say.

use std::path::Path;

use concord_tensor::pt::{self, PtValue};
use concord_tensor::{Tensor, safetensors};
use serde_json::Value;

use crate::program::Workplace;

type Stored = PtValue<Tensor>;

fn dict<const N: usize>(items: [(&str, Stored); N]) -> Stored {
    let item = |(key, value): (&str, Stored)| (PtValue::Str(key.to_owned()), value);
    PtValue::Dict(items.into_iter().map(item).collect())
}

fn tensor(values: &[f32]) -> Stored {
    PtValue::Tensor(Tensor::vector(values.to_vec()))
}

fn save(path: impl AsRef<Path>, value: &Stored) {
    pt::write(path, value).unwrap();
}

#[test]
fn files_that_differ_in_numbers_beside_their_tensors_differ() {
    let place = Workplace::new();
    let checkpoint = |epoch, lr| {
        let optimizer = dict([("lr", PtValue::Float(lr)), ("steps", PtValue::Int(9))]);
        dict([
            ("epoch", PtValue::Int(epoch)),
            ("opt", optimizer),
            ("x", tensor(&[1.0])),
        ])
    };
    save(place.path("a.pt"), &checkpoint(3, 1e-3));
    save(place.path("b.pt"), &checkpoint(4, 5e-4));
    save(place.path("c.pt"), &checkpoint(3, 1e-3));
    let out = place.run("diff a.pt b.pt").with_code(1).out;
    for said in [
        "['epoch']: 3 in A, 4 in B",
        "['opt']['lr']: 0.001 in A, 0.0005 in B",
        "The two differ, first in `['epoch']`.",
    ] {
        assert!(out.contains(said), "{out}");
    }
    assert!(!out.contains("steps"), "{out}");
    let same = place.run("diff a.pt c.pt").with_code(0).out;
    assert!(
        same.contains("The two are the same, bit for bit."),
        "{same}"
    );
    let json = place.run("diff a.pt b.pt --json").with_code(1).out;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["values"]["differing"], 2);
    assert_eq!(report["values"]["differences"][1]["path"], "['opt']['lr']");
    assert_eq!(report["values"]["differences"][1]["b"], "0.0005");
    assert_eq!(report["first_different"], "['epoch']");
}

#[test]
fn a_prefix_of_all_names_is_said_and_the_tensors_are_compared() {
    let place = Workplace::new();
    save(
        place.path("a.pt"),
        &dict([("x.w", tensor(&[1.0])), ("x.b", tensor(&[2.0]))]),
    );
    save(
        place.path("b.pt"),
        &dict([
            ("module.x.w", tensor(&[1.0])),
            ("module.x.b", tensor(&[2.0])),
        ]),
    );
    let out = place.run("diff a.pt b.pt").with_code(1).out;
    assert!(
        out.contains("have the prefix `module.` in B alone"),
        "{out}"
    );
    assert!(
        out.contains("differ in the names of tensors alone"),
        "{out}"
    );
    assert!(out.contains("2 tensors: 0 differ, 2 same"), "{out}");
    let named = |name: &str| (name.to_owned(), Tensor::vector(vec![1.0_f32]));
    safetensors::write(place.path("c.safetensors"), &[named("model.w")]).unwrap();
    save(place.path("d.pt"), &dict([("w", tensor(&[1.0]))]));
    let out = place.run("diff c.safetensors d.pt").with_code(1).out;
    assert!(out.contains("have the prefix `model.` in A alone"), "{out}");
}

#[test]
fn options_that_say_how_something_is_run_are_refused_where_nothing_is() {
    let place = Workplace::new();
    save(place.path("a.pt"), &tensor(&[1.0]));
    for option in [
        "--passages 3",
        "--checkpoint concord-mini",
        "--nbits 2",
        "--batch 9",
    ] {
        let name = option.split(' ').next().unwrap();
        place.run(&format!("diff a.pt a.pt {option}")).refused(&[
            name,
            "would have no effect",
            "nothing is run",
        ]);
    }
}

#[test]
fn what_is_no_tensor_file_has_a_message_of_its_own() {
    let place = Workplace::new();
    save(place.path("a.pt"), &tensor(&[1.0]));
    let cases: [(&[u8], &str); 3] = [
        (b"", "0 bytes"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        (b"\x1f\x8b\x08\0\0\0", "gunzip"),
    ];
    for (bytes, said) in cases {
        place.file("b.pt", bytes);
        place.run("diff a.pt b.pt").refused(&["b.pt", said]);
    }
}
