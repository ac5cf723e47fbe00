//! What the program says about itself.

use crate::program::Workplace;

#[test]
fn every_command_explains_itself_with_examples() {
    let place = Workplace::new();
    let listing = place.done("--help").out;
    let commands: Vec<&str> = listing
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|&command| command != "help")
        .collect();
    for expected in ["index", "search", "verify", "record", "diff"] {
        assert!(commands.contains(&expected), "{commands:?}");
    }
    for command in commands {
        let help = place.done(&format!("{command} --help")).out;
        let (_, examples) = help
            .split_once("\nExample")
            .unwrap_or_else(|| panic!("{command} has no examples:\n{help}"));
        let example = format!("\n  concord {command}");
        assert!(examples.contains(&example), "{command}: {examples}");
    }
}

#[test]
fn exit_codes_are_documented() {
    let help = Workplace::new().done("--help").out;
    let line = "Exit codes: 0 the same or done, 1 different, 2 trouble.";
    assert!(help.contains(line), "{help}");
}
