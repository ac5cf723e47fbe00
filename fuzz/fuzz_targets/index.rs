//! A small index some of whose files are the fuzzer's: checked, compared with what it was, opened and searched.
//!
//! The first byte says whether its manifest is there. With it, what is other than it was must be found; without it, as
//! in an index of colbert-ai, nothing can be known, and nothing but an end without panic is asked.

#![no_main]

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use concord::{OpenOptions, Searcher};
use concord_fuzz::{Folder, golden, only_panics_that_escape};
use concord_lab::{DiffOptions, Side, Verdict, diff};
use libfuzzer_sys::fuzz_target;

const MANIFEST: &str = "concord.json";
/// The one file that is no part of the index.
const LOG: &str = "concord.log.json";
const QUERIES: [&str; 2] = ["rain on the river", "a garden"];

struct Base {
    intact: PathBuf,
    altered: PathBuf,
    found: Vec<Vec<(u32, u32)>>,
    folder: Mutex<Folder>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let root = tempfile::tempdir().expect("a folder can be made").keep();
    let [intact, altered] = ["intact", "altered"].map(|name| root.join(name));
    for out in [&intact, &altered] {
        concord_fuzz::build_index(out);
    }
    Base {
        found: search(&intact).expect("the index is whole"),
        folder: Mutex::new(Folder::new(&altered)),
        intact,
        altered,
    }
});

fuzz_target!(|input: &[u8]| {
    let [flags, files @ ..] = input else { return };
    only_panics_that_escape(|| {
        let mut folder = BASE.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let altered = folder.alter(files).iter();
        let altered: Vec<&String> = altered.filter(|name| *name != LOG).collect();
        let manifest = BASE.altered.join(MANIFEST);
        let foreign = flags & 1 == 1;
        if foreign {
            let _ = fs::remove_file(&manifest);
        }
        if !altered.is_empty() && !foreign {
            let verified = concord::verify(&BASE.altered);
            let sound = verified.is_ok_and(|verified| verified.findings.is_empty());
            assert!(!sound, "{altered:?} altered, and verified");
        }
        let same = compare().is_some_and(|verdict| verdict == Verdict::Same);
        assert!(
            !same || altered.is_empty() || foreign,
            "{altered:?} altered, and the same"
        );
        if let Some(found) = search(&BASE.altered)
            && !foreign
        {
            assert!(
                found == BASE.found,
                "{altered:?} altered, and other results"
            );
        }
        if foreign {
            fs::write(&manifest, &folder.whole()[MANIFEST]).expect("the folder is ours");
        }
    });
});

fn compare() -> Option<Verdict> {
    let _ = concord::diff(&BASE.intact, &BASE.altered);
    let [a, b] = [&BASE.intact, &BASE.altered].map(|path| Side::open(path).ok());
    let report = diff(&a?, &b?, &DiffOptions::default(), &mut |_| {});
    Some(report.ok()?.verdict)
}

/// Passages and the bits of their scores, for each query.
fn search(index: &std::path::Path) -> Option<Vec<Vec<(u32, u32)>>> {
    let options = OpenOptions {
        checkpoint: Some(golden("checkpoint").to_string_lossy().into_owned()),
        threads: NonZeroUsize::new(1),
        ..OpenOptions::default()
    };
    let searcher = Searcher::open_with(index, options).ok()?;
    let found = QUERIES.map(|query| searcher.search(query, 5).ok());
    let bits = |hit: concord::Hit| (hit.pid, hit.score.to_bits());
    found
        .into_iter()
        .map(|hits| Some(hits?.into_iter().map(bits).collect()))
        .collect()
}
