//! Collections that cannot be indexed.

use crate::program::Workplace;

/// Indexing a collection of these bytes is refused with one line that says all of `said`, and leaves
/// nothing behind.
#[track_caller]
fn refused(name: &str, contents: &[u8], said: &[&str]) {
    let place = Workplace::new();
    place.file(name, contents);
    place
        .run(&format!("index {name} --checkpoint CHECKPOINT --out index"))
        .refused(said);
    assert_eq!(place.names(), [name]);
}

#[test]
fn a_missing_collection_is_named() {
    let place = Workplace::new();
    place
        .run("index nowhere.tsv --checkpoint CHECKPOINT --out index")
        .refused(&["nowhere.tsv", "No such file"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_folder_is_no_collection() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("folder.tsv")).unwrap();
    place
        .run("index folder.tsv --checkpoint CHECKPOINT --out index")
        .refused(&["folder.tsv", "directory"]);
    assert_eq!(place.names(), ["folder.tsv"]);
}

#[test]
fn an_unknown_kind_of_collection_is_answered_with_those_that_are_read() {
    refused("texts.csv", b"0,one\n", &["texts.csv", ".tsv", ".jsonl"]);
}

#[test]
fn a_line_without_a_tab_is_named() {
    let said = ["texts.tsv:2", "no tab", "pid TAB text"];
    refused("texts.tsv", b"0\tone\n1 two\n", &said);
}

#[test]
fn a_pid_out_of_order_is_named_with_the_one_expected() {
    let said = ["texts.tsv:2", "the pid is 2", "passage 1"];
    refused("texts.tsv", b"0\tone\n2\ttwo\n", &said);
}

#[test]
fn invalid_utf_8_is_placed_by_line_and_byte() {
    let said = ["texts.tsv:2", "byte 2", "UTF-8"];
    refused("texts.tsv", b"0\tone\n1\t\xff\n", &said);
}

#[test]
fn a_collection_without_lines_is_refused() {
    refused("texts.tsv", b"", &["texts.tsv", "at least one line"]);
    refused("texts.jsonl", b"", &["texts.jsonl", "at least one line"]);
}

#[test]
fn a_line_that_is_no_json_is_named() {
    let text = b"{\"_id\": \"a\", \"text\": \"one\"}\nnot json\n";
    refused("texts.jsonl", text, &["texts.jsonl:2"]);
}

#[test]
fn a_document_without_a_text_is_named_with_the_field() {
    let said = ["texts.jsonl:1", "\"text\""];
    refused("texts.jsonl", b"{\"_id\": \"a\"}\n", &said);
}

#[test]
fn an_empty_text_is_indexed_as_its_three_special_tokens() {
    let place = Workplace::new();
    place.file("texts.tsv", "0\t\n1\t\n");
    let ended = place.done("index texts.tsv --checkpoint CHECKPOINT --out index");
    assert!(
        ended.out.contains("2 passages, 6 embeddings"),
        "{}",
        ended.out
    );
    let doclens = std::fs::read_to_string(place.path("index/doclens.0.json")).unwrap();
    let doclens: Vec<usize> = serde_json::from_str(&doclens).unwrap();
    assert_eq!(doclens, [3, 3]);
}
