//! The agent, written out.

use concord_subject::agent::PROGRAM;

use crate::program::Workplace;

#[test]
fn the_agent_that_is_written_is_the_one_that_concord_runs_to_the_byte() {
    let place = Workplace::new();
    let output = place.command(["agent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(
        output.stdout == PROGRAM.as_bytes(),
        "another program is written"
    );
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
