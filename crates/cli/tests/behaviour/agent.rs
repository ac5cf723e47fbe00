//! The agent, written out.

use std::path::Path;

use crate::program::Workplace;

#[test]
fn the_agent_that_is_written_is_the_one_in_the_repository_to_the_byte() {
    let place = Workplace::new();
    let path = "../../python/concord_agent/concord_agent.py";
    let program = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let output = place.command(["agent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.stdout == program, "another program is written");
    assert!(place.names().is_empty());
}

#[test]
#[cfg(unix)]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let place = Workplace::new();
    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_concord");
    command
        .args(["-c", &format!("'{program}' agent | head -n 1")])
        .current_dir(place.path(""));
    let ended = crate::program::Ended::of(&mut command).with_code(0);
    assert_eq!(ended.out, "#!/usr/bin/env python3\n");
    assert_eq!(ended.err, "");
}
