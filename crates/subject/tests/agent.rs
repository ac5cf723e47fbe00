//! The agent's driver, with scripts in Python's place that speak the protocol line by line.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use concord_subject::agent::{Agent, AgentError, Fields, PROGRAM};
use concord_tensor::Tensor;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// Nobody waits that long: it is there so that a fault ends the test.
const LONG: Duration = Duration::from_secs(120);
/// For those that are waited for in vain.
const SHORT: Duration = Duration::from_millis(300);

/// A folder with a script in Python's place.
struct Place {
    folder: TempDir,
}

impl Place {
    /// `script` runs with what the agent's interpreter is given; `$here` is this folder, and `say` prints
    /// a line as it is, which not every shell's `echo` does.
    fn new(script: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder };
        let here = place.path("");
        let text = format!(
            "#!/bin/sh\nhere='{}'\nsay() {{ printf '%s\\n' \"$1\"; }}\n{script}\n",
            here.display()
        );
        let draft = place.path("draft");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        // A file that this process has written cannot be run while another test starts a process, which
        // for a moment has it open for writing as well.
        let copied = Command::new("cp")
            .args([&draft, &place.python()])
            .status()
            .unwrap();
        assert!(copied.success());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn python(&self) -> PathBuf {
        self.path("python")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn start(&self) -> Agent {
        self.start_with(LONG)
    }

    fn start_with(&self, patience: Duration) -> Agent {
        Agent::start(&self.python(), &BTreeMap::new(), patience).unwrap()
    }
}

/// Whether there is a process of that number, ended and not waited for included.
fn exists(process: u32) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("kill -0 {process}")]);
    command.stderr(Stdio::null()).status().unwrap().success()
}

fn ask(agent: &mut Agent) -> Result<Json, AgentError> {
    agent.ask("describe", Fields::new(), &mut |_| ())
}

fn tensors() -> Vec<(String, Tensor)> {
    let x = Tensor::new(vec![2, 2], vec![1.0f32, -0.0, f32::NAN, 3.5]).unwrap();
    vec![
        ("ids".to_owned(), Tensor::vector(vec![7i64, -1])),
        ("x".to_owned(), x),
    ]
}

/// Puts what the request names `inputs` and `out` into variables of the same names.
const READ_COMPUTE: &str = r#"
read -r line
inputs=$(printf '%s' "$line" | sed 's/.*"inputs":"\([^"]*\)".*/\1/')
out=$(printf '%s' "$line" | sed 's/.*"out":"\([^"]*\)".*/\1/')
echo "$inputs" >> "$here/files"
echo "$out" >> "$here/files"
"#;

#[test]
fn the_agents_program_is_what_runs_and_it_answers_requests_line_by_line() {
    let place = Place::new(
        r#"
cp "$1" "$here/program"
echo "$2 $OMP_NUM_THREADS $PYTHONNOUSERSITE" > "$here/started"
while read -r line; do
    printf '%s\n' "$line" >> "$here/requests"
    number=$((number + 1))
    say "{\"id\": $number, \"ok\": {\"number\": $number}}"
done"#,
    );
    let variables = BTreeMap::from([("OMP_NUM_THREADS", OsString::from("3"))]);
    let mut agent = Agent::start(&place.python(), &variables, LONG).unwrap();
    assert_eq!(agent.describe().unwrap(), json!({"number": 1}));
    let mut fields = Fields::new();
    fields.insert("batch".to_owned(), json!(8));
    fields.insert("text".to_owned(), json!("two\nlines"));
    let answer = agent.ask("record", fields, &mut |_| ()).unwrap();
    assert_eq!(answer, json!({"number": 2}));
    assert_eq!(place.text("started"), "serve 3 1\n");
    assert_eq!(place.text("program"), PROGRAM);
    let requests: Vec<Json> = place
        .text("requests")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        requests,
        [
            json!({"id": 1, "do": "describe"}),
            json!({"id": 2, "do": "record", "batch": 8, "text": "two\nlines"}),
        ]
    );
}

#[test]
fn progress_is_heard_before_the_answer() {
    let place = Place::new(
        r#"
read -r line
say '{"id": 1, "progress": {"stage": "encode", "done": 32, "total": 40}}'
say '{"id": 1, "progress": {"stage": "encode", "done": 40, "total": 40}}'
say '{"id": 1, "ok": {"taps": 3}}'
read -r line"#,
    );
    let mut heard = Vec::new();
    let answer = place.start().ask("record", Fields::new(), &mut |progress| {
        heard.push((progress.stage, progress.done, progress.total));
    });
    assert_eq!(answer.unwrap(), json!({"taps": 3}));
    let encode = |done| ("encode".to_owned(), done, 40);
    assert_eq!(heard, [encode(32), encode(40)]);
}

#[test]
fn what_libraries_print_is_not_taken_for_an_answer() {
    let place = Place::new(
        r#"
chatter() {
    echo
    echo 'Loading segmented_maxsim_cpp extension'
    echo '  0%|          | 0/4 [00:00<?, ?it/s]'
    echo 17
    echo null
    say '[1, 2]'
    say '{}'
    say '{"id": "1", "ok": "a text for a number"}'
    say '{"id": null, "ok": "not for this request"}'
    say '{"id": 99, "error": {"message": "nor is this", "traceback": null}}'
    say '{"id": 1, "ok": '
    printf '\377\376 not UTF-8\r\n'
    head -c 100000 /dev/zero | tr '\0' x
    echo
}
chatter
read -r line
chatter
say '{"id": 1, "progress": {"stage": "encode", "done": 1, "total": 1}}'
chatter
say '{"id": 1, "ok": "first"}'
chatter
# An answer that comes twice is not the answer to the next request.
say '{"id": 1, "ok": "first"}'
read -r line
chatter
say '{"id": 2, "ok": "second"}'
chatter
read -r line"#,
    );
    let mut agent = place.start();
    let mut heard = 0;
    let first = agent.ask("describe", Fields::new(), &mut |_| heard += 1);
    assert_eq!(first.unwrap(), json!("first"));
    assert_eq!(heard, 1);
    assert_eq!(ask(&mut agent).unwrap(), json!("second"));
}

#[test]
fn a_refusal_comes_back_as_its_text_and_the_agent_goes_on() {
    let place = Place::new(
        r#"
read -r line
say '{"id": 1, "error": {"message": "`batch`: from 1 on\nis needed – ü", "traceback": null}}'
read -r line
say '{"id": 2, "error": {"message": "not this either"}}'
read -r line
say '{"id": 3, "ok": {}}'
read -r line"#,
    );
    let mut agent = place.start();
    for text in ["`batch`: from 1 on\nis needed – ü", "not this either"] {
        let error = ask(&mut agent).unwrap_err();
        assert!(matches!(error, AgentError::Refused(_)), "{error:?}");
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(ask(&mut agent).unwrap(), json!({}));
}

#[test]
fn an_exception_comes_back_with_its_traceback_and_the_agent_goes_on() {
    let place = Place::new(
        r#"
read -r line
say '{"id": 1, "error": {"message": "RuntimeError: no luck", "traceback": "Traceback:\n  File \"a.py\", line 3\n"}}'
read -r line
say '{"id": 2, "ok": {}}'
read -r line"#,
    );
    let mut agent = place.start();
    let error = ask(&mut agent).unwrap_err();
    assert!(matches!(error, AgentError::Exception { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "RuntimeError: no luck\n\
         Python's traceback:\n  Traceback:\n    File \"a.py\", line 3"
    );
    assert_eq!(ask(&mut agent).unwrap(), json!({}));
}

#[test]
fn an_answer_without_a_result_is_reported_as_it_came() {
    let place = Place::new("read -r line; say '{\"id\": 1, \"done\": true}'; read -r line");
    let error = ask(&mut place.start()).unwrap_err();
    assert!(matches!(error, AgentError::Answer(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.ends_with("{\"id\": 1, \"done\": true}"), "{text}");
}

#[test]
fn a_process_that_ends_in_the_middle_is_reported_with_its_last_lines() {
    let place = Place::new(
        r#"
read -r line
number=0
while [ $number -lt 40 ]; do
    number=$((number + 1))
    echo "line $number" >&2
done
say '{"id": 1, "progress": {"stage": "encode", "done": 1, "total": 2}}'
exit 3"#,
    );
    let mut agent = place.start();
    let process = agent.id();
    let error = ask(&mut agent).unwrap_err();
    let AgentError::Ended { status, said } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(status, "exit status: 3");
    let last: Vec<String> = (26..=40).map(|number| format!("line {number}")).collect();
    assert_eq!(*said, last);
    let text = error.to_string();
    assert!(text.contains("ended before it answered (exit status: 3)"));
    assert!(text.ends_with("\n  line 39\n  line 40"), "{text}");
    assert!(!exists(process));
    // Whoever asks again is told the same.
    let again = ask(&mut agent).unwrap_err();
    assert_eq!(again.to_string(), text);
}

#[test]
fn a_process_that_is_killed_is_reported_with_the_signal() {
    let place = Place::new("read -r line; kill -9 $$");
    let error = ask(&mut place.start()).unwrap_err();
    assert!(matches!(error, AgentError::Ended { .. }), "{error:?}");
    assert!(error.to_string().contains("signal: 9"), "{error}");
}

#[test]
fn a_process_that_ends_before_it_is_asked_is_reported_with_what_it_said() {
    let place = Place::new("echo 'no module named torch' >&2; exit 1");
    let error = ask(&mut place.start()).unwrap_err();
    let AgentError::Ended { status, said } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(status, "exit status: 1");
    assert_eq!(*said, ["no module named torch"]);
}

#[test]
fn a_process_that_says_nothing_is_ended_when_patience_is() {
    let place = Place::new(
        r#"
trap '' TERM HUP INT
echo $$ > "$here/number"
read -r line
exec sleep 600"#,
    );
    let mut agent = place.start_with(SHORT);
    let process = agent.id();
    assert!(exists(process));
    let error = ask(&mut agent).unwrap_err();
    assert!(
        matches!(error, AgentError::Silent { patience, .. } if patience == SHORT),
        "{error:?}"
    );
    assert!(error.to_string().contains("--patience"), "{error}");
    assert!(!exists(process));
    let again = ask(&mut agent).unwrap_err();
    assert!(matches!(again, AgentError::Ended { .. }), "{again:?}");
}

#[test]
fn a_dropped_agent_leaves_no_process() {
    for script in [
        // One that ends when its input does, and one that has to be ended.
        "while read -r line; do say '{\"id\": 1, \"ok\": {}}'; done",
        "trap '' TERM HUP INT; read -r line; say '{\"id\": 1, \"ok\": {}}'; exec sleep 600",
    ] {
        let place = Place::new(script);
        let mut agent = place.start();
        ask(&mut agent).unwrap();
        let process = agent.id();
        assert!(exists(process), "{script}");
        drop(agent);
        assert!(!exists(process), "{script}");
    }
}

#[test]
fn an_agent_that_is_dropped_before_it_is_asked_leaves_no_process() {
    let agent = Place::new("exec sleep 600").start();
    let process = agent.id();
    drop(agent);
    assert!(!exists(process));
}

#[test]
fn an_interpreter_that_is_not_there_or_cannot_run_is_named() {
    let place = Place::new("exit 0");
    fs::write(place.path("text"), "no program").unwrap();
    for (name, said) in [("nowhere", "No such file"), ("text", "ermission denied")] {
        let path = place.path(name);
        let error = Agent::start(&path, &BTreeMap::new(), LONG).err().unwrap();
        assert!(matches!(error, AgentError::Start { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn tensors_go_and_come_through_files_that_are_gone_afterwards() {
    let answer = r#"
cp "$inputs" "$out"
number=$((number + 1))
say "{\"id\": $number, \"ok\": {}}""#;
    let twice = format!("{READ_COMPUTE}{answer}{READ_COMPUTE}{answer}\nread -r line");
    let place = Place::new(&twice);
    let mut agent = place.start();
    let inputs = tensors();
    for _ in 0..2 {
        let outputs = agent.compute("op", Fields::new(), &inputs).unwrap();
        assert_eq!(outputs.len(), inputs.len());
        for (name, tensor) in &inputs {
            let (_, found) = outputs.iter().find(|(own, _)| own == name).unwrap();
            assert_eq!(found.hash(), tensor.hash(), "{name}");
        }
    }
    let files = place.text("files");
    let files: Vec<&Path> = files.lines().map(Path::new).collect();
    assert_eq!(files.len(), 4);
    for file in &files {
        assert!(!file.exists(), "{} is still there", file.display());
    }
    let folder = files[0].parent().unwrap();
    assert!(folder.exists());
    drop(agent);
    assert!(!folder.exists(), "the folder goes with the agent");
}

#[test]
fn outputs_that_are_not_there_or_damaged_are_named() {
    for (write, said) in [("", "No such file"), ("echo damaged > \"$out\"", "")] {
        let script =
            format!("{READ_COMPUTE}{write}\nsay '{{\"id\": 1, \"ok\": {{}}}}'\nread -r line");
        let place = Place::new(&script);
        let error = place
            .start()
            .compute("op", Fields::new(), &tensors())
            .unwrap_err();
        assert!(matches!(error, AgentError::Tensors(_)), "{error:?}");
        let (text, files) = (error.to_string(), place.text("files"));
        let out = files.lines().last().unwrap();
        assert!(text.contains(out) && text.contains(said), "{text}");
    }
}

#[test]
fn a_refused_computation_comes_back_as_its_text() {
    let script = format!(
        "{READ_COMPUTE}say '{{\"id\": 1, \"error\": {{\"message\": \"unknown op\", \"traceback\": null}}}}'
read -r line"
    );
    let error = Place::new(&script)
        .start()
        .compute("op", Fields::new(), &tensors())
        .unwrap_err();
    assert!(matches!(error, AgentError::Refused(_)), "{error:?}");
    assert_eq!(error.to_string(), "unknown op");
}
