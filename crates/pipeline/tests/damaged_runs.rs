//! Runs and stores in which something was altered: it is found, named, and never used.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use concord_pipeline::{
    ArtifactEvent, Capture, DiskStore, ModulePattern, Observer, RecordedRun, RunManifest,
    RunWriter, Store, Tap, TapSink, TappedPassage, Value,
};
use concord_tensor::{BitHash, Tensor};
use tempfile::TempDir;

/// A run of an artifact of one field, one of two fields, one of two chunks and a tap, all with values.
fn recorded() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let capture = Capture {
        artifact_values: true,
        taps: vec![ModulePattern::new("*")],
        tap_values: true,
        passages: None,
        ..Capture::default()
    };
    let writer = RunWriter::create(&out, capture).unwrap();
    let add = |artifact: &str, chunk, value: Value| {
        let event = ArtifactEvent {
            artifact: artifact.to_owned(),
            chunk,
            made_from: Some(BitHash::of_bytes(artifact.as_bytes())),
            record: value.record(),
        };
        writer.artifact(&event, Some(&value)).unwrap();
    };
    let ids = Tensor::vector(vec![101i64, 102]);
    let lengths = Tensor::vector(vec![2i64]);
    add(
        "tensorize_output",
        0,
        Value::of_fields([("ids", ids), ("lengths", lengths)]),
    );
    let rows = Tensor::new(vec![2, 1], vec![0.25f32, 0.5]).unwrap();
    let passage = TappedPassage { pid: 3, tokens: 2 };
    let tap = Tap::of("linear", 0, &[passage], rows);
    writer.tap(tap.unwrap()).unwrap();
    for chunk in 0..2 {
        add("codes", chunk, Tensor::vector(vec![chunk as i32, 7]).into());
    }
    let manifest = RunManifest::new(
        "toy".into(),
        Some(1),
        Default::default(),
        Default::default(),
    );
    writer.finish(&manifest).unwrap();
    (folder, out)
}

/// Opens a run and reads all that it has.
fn read(run: &Path) -> Result<(), String> {
    let run = RecordedRun::open(run).map_err(|error| error.to_string())?;
    let chunks = run.artifacts().iter().flat_map(|artifact| &artifact.chunks);
    let hashes = chunks
        .flat_map(|chunk| &chunk.fields)
        .map(|field| field.hash);
    let hashes: Vec<BitHash> = hashes
        .chain(run.taps().iter().filter_map(|t| t.blob))
        .collect();
    assert_eq!(hashes.len(), 5);
    for hash in hashes {
        let tensor = run
            .tensor(hash)
            .map_err(|error| error.to_string())?
            .unwrap();
        tensor.read().map_err(|error| error.to_string())?;
        let mut pieces = tensor.pieces();
        let mut all = Ok(());
        while pieces.left() > 0 && all.is_ok() {
            all = pieces
                .next(1)
                .map(|_| ())
                .map_err(|error| error.to_string());
        }
        all?;
    }
    Ok(())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_flipped_bit_anywhere_in_a_run_is_an_error_that_names_the_file() {
    let (_folder, run) = recorded();
    read(&run).unwrap();
    let files = files(&run);
    assert_eq!(files.len(), 3 + 5);
    for path in files {
        let whole = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for place in 0..whole.len() {
            let mut altered = whole.clone();
            altered[place] ^= 1 << (place % 8);
            fs::write(&path, &altered).unwrap();
            let said = read(&run).expect_err(&format!("{name}, byte {place}"));
            assert!(said.contains(name), "{name}, byte {place}: {said}");
        }
        fs::write(&path, &whole).unwrap();
    }
    read(&run).unwrap();
}

#[test]
fn a_run_that_was_cut_short_or_lengthened_is_an_error() {
    let (_folder, run) = recorded();
    for path in files(&run) {
        let whole = fs::read(&path).unwrap();
        let line = whole
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let twice = [whole.as_slice(), whole.as_slice()].concat();
        for altered in [
            &whole[..whole.len() - 1],
            &whole[..line],
            &whole[line..],
            &twice,
        ] {
            if altered == whole {
                continue;
            }
            fs::write(&path, altered).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let said = read(&run).expect_err(name);
            assert!(said.contains(name), "{name}: {said}");
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_run_from_before_there_were_hashes_of_files_is_read_and_says_so() {
    let (_folder, run) = recorded();
    assert!(RecordedRun::open(&run).unwrap().is_sealed());
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
    read(&run).unwrap();
    assert!(!RecordedRun::open(&run).unwrap().is_sealed());
}

const HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What is said of a run with these events and no hashes of its files.
fn said_of(events: &str) -> String {
    let (_folder, run) = recorded();
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
    fs::write(run.join("events.jsonl"), events).unwrap();
    let error = RecordedRun::open(&run).err().expect(events).to_string();
    assert!(error.contains("events.jsonl"), "{error}");
    error
}

fn artifact(name: &str, chunk: &str, shape: &str) -> String {
    format!(
        r#"{{"artifact":"{name}","chunk":{chunk},"hash":"{HASH}","fields":[{{"dtype":"f32","shape":{shape},"hash":"{HASH}"}}]}}"#
    ) + "\n"
}

#[test]
fn events_that_no_recording_writes_are_refused() {
    let codes = |chunk: &str| artifact("codes", chunk, "[2]");
    for (events, said) in [
        (codes("0") + &codes("0"), "chunk 0 of `codes` is there twice"),
        (codes("0") + &codes("2"), "chunk 1 of `codes` is missing"),
        (codes("1"), "chunk 0 of `codes` is missing"),
        (codes("18446744073709551615"), "chunk 0 of `codes` is missing"),
        (codes("18446744073709551616"), "line 1"),
        (codes("-1"), "line 1"),
        (codes("0.5"), "line 1"),
        (artifact("codes", "0", "[-2]"), "line 1"),
        (artifact("codes", "0", "2"), "line 1"),
        (artifact("codes", "0", &format!("[{}1]", "1,".repeat(64))), "at most 64 sizes"),
        (
            artifact("codes", "0", "[4294967296, 4294967296, 2]"),
            "larger than memory",
        ),
        (
            artifact("codes", "0", "[0, 9223372036854775807]"),
            "larger than memory",
        ),
        (
            (0..1001).map(|n| artifact(&format!("x{n}"), "0", "[2]")).collect(),
            "more than 1000 artifacts",
        ),
        (
            format!(
                r#"{{"tap":"linear","batch":0,"dtype":"f32","width":1,"passages":[{{"pid":0,"tokens":9000000000000000000,"hash":"{HASH}"}},{{"pid":1,"tokens":9000000000000000000,"hash":"{HASH}"}},{{"pid":2,"tokens":9000000000000000000,"hash":"{HASH}"}}]}}"#
            ),
            "more rows",
        ),
        (
            r#"{"tap":"linear","batch":0,"dtype":"f32","width":18446744073709551615,"passages":[]}"#.to_owned(),
            "more rows, or wider",
        ),
        (
            (0..10_001)
                .map(|n| format!(r#"{{"tap":"m{n}","batch":0,"dtype":"f32","width":1,"passages":[]}}"#) + "\n")
                .collect(),
            "more than 10000 modules",
        ),
        (codes("0") + "\n", "line 2"),
        ("[".repeat(100_000), "line 1"),
        ("\u{0}".to_owned(), "line 1"),
        (codes("0").replacen(HASH, &HASH.replace('0', "1"), 1), "is not that of its fields"),
        (
            format!(r#"{{"tap":"linear","batch":-1,"dtype":"f32","width":1,"passages":[],"blob":"{HASH}"}}"#),
            "line 1",
        ),
        (
            r#"{"tap":"linear","batch":0,"dtype":"f32","width":1,"passages":[{"pid":0,"tokens":-1}]}"#.to_owned(),
            "line 1",
        ),
    ] {
        let found = said_of(&events);
        assert!(found.contains(said), "{events}: {found}");
    }
}

#[test]
fn a_manifest_that_is_too_large_is_not_read() {
    let (_folder, run) = recorded();
    let file = fs::File::create(run.join("manifest.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = RecordedRun::open(&run).err().unwrap().to_string();
    assert!(error.contains("manifest.json"), "{error}");
}

/// A pipe, a device and a folder in the place of each file of a run: an error that names it, and no waiting.
#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_refused() {
    let (_folder, run) = recorded();
    let pipe = run.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in files(&run).into_iter().filter(|path| *path != pipe) {
        let aside = run.join("aside");
        fs::rename(&path, &aside).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for target in [pipe.as_path(), Path::new("/dev/zero"), run.as_path()] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            let said = read(&run).expect_err(name);
            assert!(said.contains(name), "{name}: {said}");
            fs::remove_file(&path).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
    }
    read(&run).unwrap();
}

/// A store with a note of two outputs, the note's file, and what was noted.
fn store() -> (
    TempDir,
    PathBuf,
    Vec<concord_pipeline::ChunkRecord>,
    BitHash,
) {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let key = BitHash::of_bytes(b"key");
    let outputs = vec![
        Value::from(Tensor::vector(vec![1.0f32, 2.0])).record(),
        Value::of_fields([("ids", Tensor::vector(vec![1i64]))]).record(),
    ];
    store.remember(key, &outputs).unwrap();
    let (note,) = match files(&folder.path().join("memory")).as_slice() {
        [only] => (only.clone(),),
        more => panic!("{more:?}"),
    };
    (folder, note, outputs, key)
}

#[test]
fn a_note_in_which_a_bit_was_flipped_is_forgotten_and_that_is_told() {
    let (folder, note, outputs, key) = store();
    let whole = fs::read(&note).unwrap();
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut altered = whole.clone();
            altered[place] ^= 1 << bit;
            fs::write(&note, &altered).unwrap();
            let store = DiskStore::open(folder.path()).unwrap();
            match store.remembered(key).unwrap() {
                // White space of another kind.
                Some(found) => assert_eq!(found, outputs),
                None => {
                    assert_eq!(store.take_damaged(), std::slice::from_ref(&note));
                    assert!(!note.exists());
                    assert!(store.take_damaged().is_empty());
                }
            }
        }
    }
}

#[test]
fn a_note_of_something_else_or_of_an_earlier_form_is_forgotten() {
    let (folder, note, outputs, key) = store();
    let other = BitHash::of_bytes(b"other");
    let name = other.to_string().replace("sha256:", "") + ".json";
    fs::copy(&note, note.with_file_name(name)).unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    assert_eq!(store.remembered(other).unwrap(), None);
    assert_eq!(store.remembered(key).unwrap().as_ref(), Some(&outputs));
    fs::write(&note, serde_json::to_vec(&outputs).unwrap()).unwrap();
    assert_eq!(store.remembered(key).unwrap(), None);
}

#[test]
fn a_value_in_which_a_bit_was_flipped_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let value = Value::from(Tensor::vector(vec![1.0f32, -2.0]));
    let record = value.record();
    store.put(&record, &value).unwrap();
    let blobs = files(&folder.path().join("blobs"));
    let whole = fs::read(&blobs[0]).unwrap();
    for place in 0..whole.len() {
        let mut altered = whole.clone();
        altered[place] ^= 1 << (place % 8);
        fs::write(&blobs[0], &altered).unwrap();
        assert!(store.get(&record).unwrap().is_none(), "byte {place}");
        assert_eq!(store.take_damaged(), blobs);
        assert!(!store.has(&record));
    }
    store.put(&record, &value).unwrap();
    assert_eq!(store.get(&record).unwrap().unwrap().record(), record);
}
