//! A small recorded run some of whose files are the fuzzer's: opened, every value read, and compared with what it was.

#![no_main]

use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use concord_fuzz::{Folder, only_panics_that_escape};
use concord_lab::{DiffOptions, Side, Verdict, diff};
use concord_pipeline::RecordedRun;
use libfuzzer_sys::fuzz_target;

struct Base {
    intact: PathBuf,
    altered: PathBuf,
    folder: Mutex<Folder>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let root = tempfile::tempdir().expect("a folder can be made").keep();
    let [intact, altered] = ["intact", "altered"].map(|name| root.join(name));
    for out in [&intact, &altered] {
        concord_fuzz::record_run(out);
    }
    Base {
        folder: Mutex::new(Folder::new(&altered)),
        intact,
        altered,
    }
});

fuzz_target!(|files: &[u8]| {
    only_panics_that_escape(|| {
        let mut folder = BASE.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.alter(files);
        if let Ok(run) = RecordedRun::open(&BASE.altered) {
            read_values(&run);
        }
        compare();
    });
});

fn read_values(run: &RecordedRun) {
    let chunks = run.artifacts().iter().flat_map(|artifact| &artifact.chunks);
    let fields = chunks.flat_map(|chunk| &chunk.fields);
    let blobs = run.taps().iter().filter_map(|tap| tap.blob);
    for hash in fields.map(|field| field.hash).chain(blobs) {
        if let Ok(Some(stored)) = run.tensor(hash) {
            // What is handed out is what the hash stands for.
            if let Ok(tensor) = stored.read() {
                assert_eq!(tensor.hash(), hash);
            }
        }
    }
}

/// What is the same has the same artifacts.
fn compare() {
    let sides = [&BASE.intact, &BASE.altered, &BASE.altered].map(|path| Side::open(path).ok());
    let [Some(intact), Some(altered), Some(again)] = sides else {
        return;
    };
    let _ = diff(&altered, &again, &DiffOptions::default(), &mut |_| {});
    let report = diff(&intact, &altered, &DiffOptions::default(), &mut |_| {});
    if report.is_ok_and(|report| report.verdict == Verdict::Same) {
        let [a, b] = [&BASE.intact, &BASE.altered].map(|path| RecordedRun::open(path));
        let (a, b) = (a.expect("it was opened"), b.expect("it was opened"));
        let hashes = |run: &RecordedRun| -> Vec<_> {
            let artifacts = run.artifacts().iter();
            artifacts
                .map(|artifact| (artifact.name.clone(), artifact.hash))
                .collect()
        };
        assert_eq!(hashes(&a), hashes(&b));
    }
}
