//! Conditions on the metadata of passages: read, printed and read again, and asked of a small table.

#![no_main]

use std::sync::LazyLock;

use concord_index::filter::{parse, select};
use concord_index::passages::{PassageDb, PassageRecord, PassageTable};
use libfuzzer_sys::fuzz_target;

const OBJECTS: [&str; 4] = [
    r#"{"a":1,"b":"x","c":true}"#,
    r#"{"a":"x","b":2.5,"c":[1]}"#,
    r#"{"a":false,"b":"50%","in":0}"#,
    "{}",
];

static TABLE: LazyLock<PassageDb> = LazyLock::new(|| {
    let record = |(pid, object): (usize, &&str)| PassageRecord {
        id: pid.to_string(),
        text: None,
        deleted: false,
        metadata: (object.len() > 2).then(|| (*object).into()),
    };
    let table = PassageTable::new(false, OBJECTS.iter().enumerate().map(record).collect());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("passages.db");
    PassageDb::write(&path, &table).expect("the folder is ours");
    let bytes = std::fs::read(&path).expect("it was written");
    PassageDb::of_bytes(&path, &bytes).expect("it is whole")
});

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(expression) = parse(text) else { return };
    // What is printed may be longer than what was read, by parentheses and quotes.
    if let Ok(again) = parse(&expression.to_string()) {
        assert_eq!(again, expression);
    }
    let Ok(found) = select(&TABLE, &expression) else {
        return;
    };
    let not = concord_index::filter::Expression::Not(Box::new(expression));
    let others = select(&TABLE, &not).expect("the fields are the same");
    // Nothing is true and false.
    let mut both = found.clone();
    both.keep(&others);
    assert!(both.is_empty() && found.len() + others.len() <= OBJECTS.len());
});
