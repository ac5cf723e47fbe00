//! Relevance judgements.

#![no_main]

use concord_corpus::{PlainPids, Qrels};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(qrels) = Qrels::parse("fuzz.tsv", file) else {
        return;
    };
    assert_eq!(qrels.len(), qrels.iter().count());
    for (qid, judgements) in qrels.iter() {
        let again = qrels.get(qid).map(Vec::from_iter);
        assert_eq!(again, Some(Vec::from_iter(judgements.clone())));
        let (grades, unknown) = qrels.grades(qid, &PlainPids);
        assert!(grades.len() + unknown <= judgements.len());
    }
});
