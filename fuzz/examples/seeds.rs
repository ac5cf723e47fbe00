//! Writes what fuzzing starts from, the golden files and small folders, to `corpus/TARGET`.

use std::fs;
use std::path::{Path, PathBuf};

use concord_fuzz::{Folder, build_index, encode, golden, record_run};

fn main() {
    let tensors = golden("../../crates/tensor/tests/golden");
    for (target, extension) in [("pt", "pt"), ("safetensors", "safetensors"), ("npy", "npy")] {
        for file in files(&tensors).into_iter().chain(files(&golden(""))) {
            if file.extension().is_some_and(|found| found == extension) {
                seed(target, &read(&file));
            }
        }
    }
    tokenizers();
    let scratch = tempfile::tempdir().expect("a folder can be made");
    let [index, run] = ["index", "run"].map(|name| scratch.path().join(name));
    build_index(&index);
    record_run(&run);
    for (target, folder, flags) in [("index", index, &[0u8, 1][..]), ("run", run, &[])] {
        let folder = Folder::new(&folder);
        for (name, content) in folder.whole() {
            let file = encode(folder.whole(), name, content);
            match flags {
                [] => seed(target, &file),
                flags => flags
                    .iter()
                    .for_each(|&flag| seed(target, &[&[flag], &file[..]].concat())),
            }
        }
    }
    let filters = [
        "a > 1 AND b = 'x'",
        "NOT (a IN (1, 2.5) OR \"in\" <> -3e2) or b like '5_%' and c != TRUE",
        "a BETWEEN 'a' AND 'it''s' OR b IS NOT NULL",
    ];
    for text in filters {
        seed("filter", text.as_bytes());
    }
    let qrels = [
        "0 0 10 3\n1 0 5 1\n1 0 6 -2\n",
        "query-id\tcorpus-id\tscore\n0\t10\t3\n1\td 5\t1\n",
    ];
    for text in qrels {
        seed("qrels", text.as_bytes());
    }
    let rankings = [
        "\u{0}0\t15\t1\t21.5\n0\t2\t2\t21.0\n1\t9\t1\t-0.0\n",
        "\u{1}0 Q0 15 0 21.5 concord\n0 Q0 2 1 1e-40 concord\n",
        "\u{2}{\"qid\":\"0\",\"results\":[{\"pid\":15,\"id\":\"15\",\"rank\":1,\"score\":21.5}]}\n",
    ];
    for text in rankings {
        seed("ranking", text.as_bytes());
    }
}

/// The golden tokenizer, and each of its kind of parts by another of the library's.
fn tokenizers() {
    let text = String::from_utf8(read(&golden("checkpoint/tokenizer.json"))).expect("it is JSON");
    seed("tokenizer", text.as_bytes());
    let whole: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let replace = r#"{"type":"Replace","pattern":{"Regex":"a+"},"content":"b"}"#;
    let parts = [
        (
            "normalizer",
            r#"{"type":"Precompiled","precompiled_charsmap":"AAAAAA=="}"#,
        ),
        (
            "normalizer",
            r#"{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Lowercase"},{"type":"StripAccents"},{"type":"Prepend","prepend":"_"}]}"#,
        ),
        ("normalizer", replace),
        ("pre_tokenizer", r#"{"type":"FixedLength","length":3}"#),
        (
            "pre_tokenizer",
            r#"{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithNext","invert":true}"#,
        ),
        (
            "pre_tokenizer",
            r#"{"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}]}"#,
        ),
        (
            "pre_tokenizer",
            r#"{"type":"Metaspace","replacement":"_","prepend_scheme":"always","split":true}"#,
        ),
        (
            "post_processor",
            r#"{"type":"BertProcessing","sep":["[SEP]",6],"cls":["[CLS]",5]}"#,
        ),
        (
            "post_processor",
            r#"{"type":"RobertaProcessing","sep":["[SEP]",6],"cls":["[CLS]",5],"trim_offsets":true,"add_prefix_space":false}"#,
        ),
        (
            "model",
            r###"{"type":"WordLevel","vocab":{"[PAD]":0,"[UNK]":4,"[CLS]":5,"[SEP]":6,"[MASK]":7,"rain":3},"unk_token":"[UNK]"}"###,
        ),
        (
            "model",
            r###"{"type":"BPE","vocab":{"[PAD]":0,"[UNK]":4,"[CLS]":5,"[SEP]":6,"[MASK]":7,"a":1,"b":2,"ab":3},"merges":["a b"],"unk_token":"[UNK]"}"###,
        ),
        (
            "model",
            r###"{"type":"Unigram","unk_id":4,"vocab":[["[PAD]",0.0],["a",-2.5],["b",-3.0],["ab",-4.0],["[UNK]",-1.0],["[CLS]",0.0],["[SEP]",0.0],["[MASK]",0.0]],"byte_fallback":false}"###,
        ),
    ];
    for (key, part) in parts {
        let mut other = whole.clone();
        other[key] = serde_json::from_str(part).expect("it is JSON");
        // A shorter vocabulary leaves more of an input to the rest.
        if key != "model" {
            other["model"] = serde_json::from_str(parts[9].1).expect("it is JSON");
        }
        seed("tokenizer", other.to_string().as_bytes());
    }
}

fn seed(target: &str, content: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&folder).expect("the corpus can be written");
    let hash = concord_tensor::BitHash::of_bytes(content).to_string();
    let name = hash.trim_start_matches("sha256:");
    fs::write(folder.join(&name[..16]), content).expect("the corpus can be written");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("the golden file is there")
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
