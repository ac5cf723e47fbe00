//! Disks that are full, and files that may not grow.
#![cfg(unix)]

use std::process::{Command, Stdio};

use crate::folder::{assert_same, index_files, names};
use crate::program::{Ended, Workplace, words};

const BUILD: &str = "index COLLECTION --checkpoint CHECKPOINT --out";

/// The arguments that make `unshare` run a command that may mount; nothing where it may not.
fn mounting() -> Option<&'static str> {
    ["--mount", "--user --map-root-user --mount"]
        .into_iter()
        .find(|&how| {
            let status = Command::new("unshare")
                .args(how.split(' '))
                .args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"])
                .stderr(Stdio::null())
                .status();
            status.is_ok_and(|status| status.success())
        })
}

/// `BUILD` at `$1/index` with the arguments behind it, first with `$2` kB left on the disk, then with
/// all of it.
const TWICE: &str = r#"
    set -u
    disk=$1 left=$2 program=$3
    shift 3
    mount -t tmpfs -o size=4m tmpfs "$disk" || exit 90
    head -c $(((4096 - left) * 1024)) /dev/zero > "$disk/filler" || exit 91
    "$program" "$@" "$disk/index" 2> first-err
    echo $? > first-code
    ls -A "$disk" > first-left
    rm "$disk/filler"
    "$program" "$@" "$disk/index" || exit 92
    cp -R "$disk" afterwards
"#;

#[test]
fn a_full_disk_ends_a_build_which_goes_on_when_there_is_space() {
    let Some(how) = mounting() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "the test of a full disk has to run in CI, and no small disk can be mounted"
        );
        println!("skipped: no small disk can be mounted (unshare --mount)");
        return;
    };
    let undisturbed = Workplace::new();
    let expected = index_files(&undisturbed.golden_index("index"));
    for left in [8, 60, 300, 500] {
        let place = Workplace::new();
        std::fs::create_dir(place.path("disk")).unwrap();
        let program = place.command(words(BUILD));
        let mut command = Command::new("unshare");
        command
            .args(how.split(' '))
            .args(["sh", "-c", TWICE, "sh", "disk", &left.to_string()])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(place.path(""));
        Ended::of(&mut command).with_code(0);
        let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
        assert_eq!(read("first-code"), "2\n", "{left} kB left");
        let err = read("first-err");
        let line = err.lines().last().unwrap();
        for part in [
            "concord: ",
            ".index.building",
            "No space left",
            "free some space",
        ] {
            assert!(line.contains(part), "{left} kB left: {err}");
        }
        assert_eq!(read("first-left"), ".index.building\nfiller\n");
        assert_eq!(names(&place.path("afterwards")), ["index"]);
        let what = format!("after {left} kB were left");
        assert_same(
            &index_files(&place.path("afterwards/index")),
            &expected,
            &what,
        );
    }
}

#[test]
fn a_file_that_may_not_grow_ends_a_build_which_goes_on_without_the_limit() {
    let place = Workplace::new();
    let program = place.command(words(BUILD));
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .arg("index")
        .current_dir(place.path(""));
    let ended = Ended::of(&mut command).with_code(2);
    let line = ended.err.lines().last().unwrap();
    assert!(
        line.contains(".index.building") && line.contains("File too large"),
        "{line}"
    );
    assert_eq!(place.names(), [".index.building"]);
    let again = index_files(&place.golden_index("index"));
    assert_eq!(place.names(), ["index"]);
    let undisturbed = Workplace::new();
    let expected = index_files(&undisturbed.golden_index("index"));
    assert_same(&again, &expected, "after the limit was gone");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_nothing() {
    let place = Workplace::new();
    let program = place.command(["export-model", "folder"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(place.path(""));
    let ended = Ended::of(&mut command).with_code(2);
    assert!(ended.err.contains("File too large"), "{}", ended.err);
    assert!(place.names().is_empty());
}

#[test]
fn a_mounted_file_system_is_no_place_for_an_index_and_that_is_said_before_the_work() {
    let Some(how) = mounting() else {
        println!("skipped: nothing can be mounted (unshare --mount)");
        return;
    };
    let place = Workplace::new();
    std::fs::create_dir(place.path("index")).unwrap();
    let script = "mount -t tmpfs tmpfs index || exit 90; exec \"$@\"";
    let mut command = place.command(words(&format!("{BUILD} index")));
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut mounted = Command::new("unshare");
    mounted
        .args(how.split(' '))
        .args(["sh", "-c", script, "sh"])
        .arg(command.get_program())
        .args(arguments)
        .current_dir(place.path(""));
    let ended = Ended::of(&mut mounted);
    assert!(!ended.err.contains("encode"), "{}", ended.err);
    ended.refused(&["index", "mounted", "inside"]);
    let _ = &mut command;
}
