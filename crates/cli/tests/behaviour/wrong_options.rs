//! Options and subjects that do not exist, and values that are none.

use crate::program::{Ended, Workplace, words};
use crate::python;

#[test]
fn an_unknown_value_is_answered_with_those_that_exist() {
    let place = Workplace::new();
    for (option, said) in [
        ("--isa mmx", ["mmx", "scalar, avx2, avx512"]),
        ("--precision f8", ["f8", "choose one of f32"]),
        ("--batch 0", ["'0'", "a whole number from 1 on"]),
        ("--threads many", ["'many'", "from 1 to 1024"]),
        ("--threads 100000", ["'100000'", "from 1 to 1024"]),
        ("--nbits two", ["'two'", "a whole number"]),
        (
            "--seed 4294967296",
            ["'4294967296'", "from 0 to 4294967295"],
        ),
        ("--btach 7", ["'--btach'", "--batch"]),
    ] {
        place
            .run(&format!(
                "index COLLECTION --checkpoint CHECKPOINT --out index {option}"
            ))
            .not_understood(&said);
    }
    assert!(place.names().is_empty());
}

#[test]
fn a_setting_that_does_not_fit_the_checkpoint_is_answered_with_what_fits() {
    let place = Workplace::new();
    for (option, said) in [
        ("--nbits 3", ["nbits = 3", "1, 2, 4 or 8"]),
        ("--doc-maxlen 2", ["doc_maxlen is 2", "3 tokens"]),
        ("--doc-maxlen 65", ["doc_maxlen is 65", "64 positions"]),
        ("--swap centroids", ["`centroids`", "ARTIFACT=PATH"]),
        ("--swap centroid=x.pt", ["`centroid`", "centroids"]),
        ("--swap centroids=x.pt", ["x.pt", "No such file"]),
    ] {
        place
            .run(&format!(
                "index COLLECTION --checkpoint CHECKPOINT --out index {option}"
            ))
            .refused(&said);
    }
    assert!(place.names().is_empty());
}

#[test]
fn an_unknown_subject_is_answered_with_what_a_subject_is() {
    let place = Workplace::new();
    for (subject, said) in [
        ("natve", ["`natve`", "native"]),
        ("native,speed=9", ["`speed=9`", "gemm="]),
        (
            "native,threads=100000",
            ["`threads=100000`", "at most 1024"],
        ),
        ("native,gemm=foo", ["`foo`", "split-k:N"]),
        ("native,gemm=split-k:0", ["`split-k:0`", "split-k:N"]),
        ("native,gelu=foo", ["`foo`", "tanh"]),
        ("native,linear:foo", ["`foo`", "gemm="]),
        (
            "native,bert.encoder.layer.9:identity",
            ["bert.encoder.layer.9", "bert.encoder.layer.0 to .1"],
        ),
        ("native,mask:identity", ["`mask`", "normalize"]),
    ] {
        for command in [
            format!("index COLLECTION --subject {subject}"),
            format!("record {subject} --collection COLLECTION"),
        ] {
            place
                .run(&format!("{command} --checkpoint CHECKPOINT --out out"))
                .refused(&said);
        }
    }
    assert!(place.names().is_empty());
}

#[test]
fn an_unknown_option_of_torch_is_answered_with_those_that_exist() {
    let place = Workplace::new();
    for (subject, said) in [
        (
            "torch==2.4.1,speed=9",
            ["`speed=9`", "engine=, device=, amp="],
        ),
        ("torch==2.4.1,precision=f16", ["`precision=f16`", "amp="]),
        (
            "torch==2.4.1,gemm=split-k:4",
            ["`gemm=split-k:4`", "MODULE:identity"],
        ),
        ("torch==2.4.1,device=", ["`device=`", "device="]),
        ("torch==2.4.1,", ["``", "engine="]),
        ("torch==2.4.1,amp=f8", ["amp `f8`", "none, fp16, bf16"]),
        ("torch==2.4.1,engine=tf", ["engine `tf`", "bert, colbert"]),
        ("torch==2.4.1,pad=8", ["pad `8`", "batch, list"]),
        (
            "torch==2.4.1,attention=flash",
            ["attention `flash`", "eager, sdpa"],
        ),
        (
            "torch==2.4.1,isa=neon",
            ["isa `neon`", "scalar, avx2, avx512"],
        ),
        ("torch==2.4.1,batch=0", ["`batch=0`", "from 1 on"]),
        (
            "torch==2.4.1,threads=100000",
            ["`threads=100000`", "at most 1024"],
        ),
        (
            "torch==2.4.1,linear:gemm=split-k:3",
            ["`linear:gemm=split-k:3`", "only MODULE:identity"],
        ),
        ("torch==2.4.1,linear:foo", ["`foo`", "identity"]),
        ("torch==2.4", ["`2.4`", "three numbers, as in 2.4.1"]),
        ("torch==", ["``", "three numbers, as in 2.4.1"]),
        (
            "torch==2.4.1rc1",
            ["`2.4.1rc1`", "three numbers, as in 2.4.1"],
        ),
    ] {
        for command in [
            format!("record {subject} --out out"),
            format!("diff native {subject}"),
            format!("matrix native {subject} --out out"),
        ] {
            // A word that is understood would have an environment made.
            python::run(
                &place,
                &format!("{command} --checkpoint CHECKPOINT --collection COLLECTION --passages 2"),
            )
            .refused(&said);
        }
    }
    assert!(place.names().is_empty());
}

#[test]
fn a_range_of_versions_is_no_subject_but_for_a_matrix() {
    let place = Workplace::new();
    for command in [
        "record torch==2.0.1..2.2.0,batch=8 --out out",
        "diff torch==2.0.1..2.2.0,batch=8 native",
        "index COLLECTION --subject torch==2.0.1..2.2.0,batch=8 --out out",
    ] {
        let collection = if command.starts_with("index") {
            ""
        } else {
            "--collection COLLECTION"
        };
        python::run(
            &place,
            &format!("{command} --checkpoint CHECKPOINT {collection}"),
        )
        .refused(&[
            "`torch==2.0.1..2.2.0`",
            "a range of versions",
            "torch==2.0.1",
            "`concord matrix`",
        ]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn an_index_is_built_by_the_native_engine_alone() {
    let place = Workplace::new();
    for subject in ["torch==2.4.1", "torch==2.4.1,engine=colbert"] {
        python::run(
            &place,
            &format!("index COLLECTION --subject {subject} --checkpoint CHECKPOINT --out index"),
        )
        .refused(&[subject, "built by `native`", "record, diff and matrix"]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn options_that_a_subject_does_not_share_are_refused_with_those_it_has() {
    let place = Workplace::new();
    for (options, said) in [
        ("torch==2.4.1 --isa neon", "neon"),
        ("torch==2.4.1 --patience 0", "'0'"),
        ("torch==2.4.1 --patience soon", "'soon'"),
    ] {
        python::run(&place, &format!("record {options} --out out")).not_understood(&[said]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn an_unknown_instruction_set_in_the_environment_is_refused() {
    let place = Workplace::new();
    let mut command = place.command(words(
        "index COLLECTION --checkpoint CHECKPOINT --out index",
    ));
    Ended::of(command.env("CONCORD_ISA", "mmx")).refused(&["`mmx`", "scalar, avx2, avx512"]);
    assert!(place.names().is_empty());
}

#[test]
fn an_unknown_command_is_answered_with_the_one_that_was_meant() {
    Workplace::new()
        .run("indx")
        .not_understood(&["'indx'", "'index'"]);
}
