//! Searching, and the forms of its results.

use serde_json::Value;

use crate::folder;
use crate::golden;
use crate::program::Workplace;

/// A place with the golden index in it.
fn indexed() -> Workplace {
    let place = Workplace::new();
    place.golden_index("index");
    place
}

/// The results of the golden queries: `(qid, pid, rank, score)`, as the TSV has them.
fn results(tsv: &str) -> Vec<(usize, usize, usize, f64)> {
    tsv.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [qid, pid, rank, score] = fields[..] else {
                panic!("four columns were expected: {line}");
            };
            let whole = |text: &str| text.parse().unwrap();
            (whole(qid), whole(pid), whole(rank), score.parse().unwrap())
        })
        .collect()
}

#[test]
fn the_ranking_is_the_references() {
    let place = indexed();
    let text = std::fs::read(golden::folder().join("torch-1.13.1/search.json")).unwrap();
    let settings: Value = serde_json::from_slice(&text).unwrap();
    for setting in settings.as_array().unwrap() {
        let asked = &setting["asked"];
        let mut line = format!(
            "search index --queries QUERIES --format tsv --clip-negative --k {}",
            asked["k"]
        );
        for (key, option) in [
            ("ncells", "--ncells"),
            ("centroid_score_threshold", "--threshold"),
            ("ndocs", "--ndocs"),
        ] {
            if !asked[key].is_null() {
                line += &format!(" {option} {}", asked[key]);
            }
        }
        let found = results(&place.done(&line).out);
        for (qid, expected) in setting["queries"].as_array().unwrap().iter().enumerate() {
            let mine = found.iter().filter(|result| result.0 == qid);
            let pids: Vec<usize> = mine.clone().map(|result| result.1).collect();
            let scores: Vec<f64> = mine.map(|result| result.3).collect();
            let number = |value: &Value| value.as_u64().unwrap() as usize;
            let theirs: Vec<usize> = expected["pids"]
                .as_array()
                .unwrap()
                .iter()
                .map(number)
                .collect();
            let what = format!("query {qid} of {asked}");
            assert_eq!(sorted(&pids), sorted(&theirs), "{what}");
            for (mine, theirs) in scores.iter().zip(expected["scores"].as_array().unwrap()) {
                let theirs = theirs.as_f64().unwrap();
                assert!((mine - theirs).abs() < 1e-3, "{what}: {mine} {theirs}");
            }
        }
    }
}

/// The reference leaves the order of ties open.
fn sorted(pids: &[usize]) -> Vec<usize> {
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    pids
}

#[test]
fn a_table_shows_rank_passage_score_and_text() {
    let place = indexed();
    let table = place.done("search index otter --k 3").out;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    let heads: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(heads, ["rank", "pid", "score", "passage"]);
    let texts = std::fs::read_to_string(golden::collection()).unwrap();
    for (line, rank) in lines[1..].iter().zip(["1", "2", "3"]) {
        let mut cells = line.split_whitespace();
        assert_eq!(cells.next(), Some(rank));
        let pid: usize = cells.next().unwrap().parse().unwrap();
        let text = texts.lines().nth(pid).unwrap();
        let first_word = text.split(['\t', ' ']).nth(1).unwrap();
        assert!(line.contains(first_word), "{line} is not {text}");
    }
}

#[test]
fn every_format_has_the_same_results() {
    let place = indexed();
    let search = |format: &str| {
        place
            .done(&format!("search index --queries QUERIES --k 4 {format}"))
            .out
    };
    let tsv = results(&search("--format tsv"));
    assert_eq!(tsv.len(), 12 * 4);
    assert_eq!(
        results(&search("")),
        tsv,
        "tsv is what files of queries get"
    );

    let trec = search("--format trec");
    let trec = trec.lines().map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!((fields.len(), fields[1], fields[5]), (6, "Q0", "concord"));
        let whole = |at: usize| fields[at].parse::<usize>().unwrap();
        (whole(0), whole(2), whole(3), fields[4].parse().unwrap())
    });
    assert_eq!(trec.collect::<Vec<_>>(), tsv);

    let json = search("--json");
    assert_eq!(json, search("--format json"));
    let mut from_json = Vec::new();
    for line in json.lines() {
        let query: Value = serde_json::from_str(line).unwrap();
        let qid = query["qid"].as_str().unwrap().parse().unwrap();
        for result in query["results"].as_array().unwrap() {
            let whole = |key: &str| result[key].as_u64().unwrap() as usize;
            let score = result["score"].as_f64().unwrap();
            from_json.push((qid, whole("pid"), whole("rank"), score));
        }
    }
    assert_eq!(from_json, tsv);

    let table = search("--format table");
    assert!(table.starts_with("0: who watched the heron"), "{table}");
}

#[test]
fn results_do_not_depend_on_threads_instruction_set_or_company() {
    let place = indexed();
    let search = |options: &str| {
        place
            .done(&format!("search index --queries QUERIES --k 20 {options}"))
            .out
    };
    let all = search("");
    assert_eq!(search("--threads 1"), all);
    assert_eq!(search("--isa scalar"), all);
    let one = place.done("search index honey --k 20 --format tsv").out;
    let of_all: Vec<(usize, f64)> = results(&all)
        .into_iter()
        .filter(|result| result.0 == 4)
        .map(|result| (result.1, result.3))
        .collect();
    let alone: Vec<(usize, f64)> = results(&one)
        .into_iter()
        .map(|result| (result.1, result.3))
        .collect();
    assert_eq!(alone, of_all);
}

#[test]
fn settings_of_one_search_do_not_stick_to_the_next() {
    let place = indexed();
    let before = folder::files(&place.path("index"));
    let few = "search index --queries QUERIES --k 5";
    let first = place.done(few).out;
    place.done("search index --queries QUERIES --k 1000 --ncells 1 --ndocs 8");
    assert_eq!(place.done(few).out, first);
    let after = folder::files(&place.path("index"));
    folder::assert_same(&after, &before, "the index that was searched");
}

#[test]
fn more_results_than_there_are_passages_are_those_that_were_found() {
    let place = indexed();
    let all = "--ncells 512 --threshold -32";
    let search = |options: &str| {
        let ended = place.done(&format!("search index otter --format tsv {all} {options}"));
        results(&ended.out)
    };
    let of_all = search("--k 1000");
    assert_eq!(of_all.len(), 120);
    let most = usize::MAX;
    assert_eq!(search(&format!("--k {most}")), of_all);
    assert_eq!(search(&format!("--k {most} --ndocs {most}")), of_all);
}

#[test]
fn judgements_are_answered_with_metrics_beside_the_results() {
    let place = indexed();
    let tsv = place.done("search index --queries QUERIES --k 10").out;
    let best = |(qid, pid, rank, _): &(usize, usize, usize, f64)| {
        (*rank == 1).then(|| format!("{qid} 0 {pid} 1\n"))
    };
    let judgements: String = results(&tsv).iter().filter_map(best).collect();
    place.file("best.qrels", judgements);
    let ended = place.done("search index --queries QUERIES --k 10 --qrels best.qrels");
    assert_eq!(ended.out, tsv, "metrics are not among the results");
    let lines: Vec<&str> = ended.err.lines().rev().take(2).collect();
    let names: Vec<&str> = lines[1].split_whitespace().collect();
    let figures: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!((names[0], figures[0]), ("queries", "12"));
    let at = names.iter().position(|name| *name == "MRR@10").unwrap();
    assert_eq!(figures[at], "1.0000");
}

#[test]
fn results_written_to_a_file_are_whole_and_replace_what_was_there() {
    let place = indexed();
    let printed = place.done("search index --queries QUERIES --k 3").out;
    place.file("ranking.tsv", "an older ranking");
    let ended = place.done("search index --queries QUERIES --k 3 --out ranking.tsv");
    assert_eq!(ended.out, "");
    let written = std::fs::read_to_string(place.path("ranking.tsv")).unwrap();
    assert_eq!(written, printed);
    assert_eq!(place.names(), ["index", "ranking.tsv"]);
    place
        .run("search index otter --out no/such/ranking.tsv")
        .refused(&["no/such/ranking.tsv", "make its folder first"]);
}

#[test]
fn wrong_searches_are_refused_before_anything_is_searched() {
    let place = indexed();
    place.file("twice.tsv", "1\tone\n1\ttwo\n");
    place.file("no-tab.tsv", "1 one\n");
    place.file("empty.tsv", "");
    place.file("broken.qrels", "0 0 77 1\n1 0 60\n");
    for (line, said) in [
        ("--queries twice.tsv", ["twice.tsv:2", "line 1"]),
        ("--queries no-tab.tsv", ["no-tab.tsv:1", "qid TAB text"]),
        ("--queries empty.tsv", ["empty.tsv", "at least one"]),
        ("--queries nowhere.tsv", ["nowhere.tsv", "No such file"]),
        (
            "--queries QUERIES --qrels broken.qrels",
            ["broken.qrels:2", "3 columns"],
        ),
        (
            "--queries QUERIES --qrels nowhere.qrels",
            ["nowhere.qrels", "No such file"],
        ),
        ("otter --checkpoint no/where", ["no/where", "--checkpoint"]),
        (
            "otter --collection twice.tsv",
            ["twice.tsv:1", "the pid is 1"],
        ),
    ] {
        place.run(&format!("search index {line}")).refused(&said);
    }
    for (line, said) in [
        ("otter --k 0", ["'0'", "from 1 on"]),
        ("otter --ncells 0", ["'0'", "from 1 on"]),
        ("otter --threshold nan", ["'nan'", "a number is needed"]),
        ("otter --threads 1025", ["'1025'", "from 1 to 1024"]),
        ("otter --format xml", ["'xml'", "trec"]),
        ("otter --qrels broken.qrels", ["--qrels", "QUERY"]),
        ("otter --queries QUERIES", ["--queries", "QUERY"]),
        ("", ["not provided", "QUERY"]),
    ] {
        place
            .run(&format!("search index {line}"))
            .not_understood(&said);
    }
}

#[test]
fn another_collection_or_checkpoint_than_that_of_the_index_is_refused() {
    let place = indexed();
    place.file("other.tsv", "0\tsome other text\n");
    place
        .run("search index otter --collection other.tsv")
        .refused(&["other.tsv", "not built from"]);
    folder::copy(&golden::checkpoint(), &place.path("other"));
    let metadata = place.path("other/artifact.metadata");
    let text = std::fs::read_to_string(&metadata).unwrap();
    std::fs::write(&metadata, text.replace("\"nbits\": 2", "\"nbits\": 1")).unwrap();
    place
        .run("search index otter --checkpoint other")
        .refused(&["other", "not built with"]);
}

#[test]
fn an_index_is_searched_without_its_collection_but_shows_no_texts() {
    let place = Workplace::new();
    std::fs::copy(golden::collection(), place.path("texts.tsv")).unwrap();
    place.done("index texts.tsv --checkpoint CHECKPOINT --out index");
    let with_texts = place.done("search index --queries QUERIES --k 3").out;
    std::fs::remove_file(place.path("texts.tsv")).unwrap();
    let ended = place.done("search index --queries QUERIES --k 3");
    assert_eq!(ended.out, with_texts);
    assert!(ended.err.contains("texts.tsv is gone"), "{}", ended.err);
    place.file("texts.tsv", "0\tsome other text\n");
    let ended = place.done("search index --queries QUERIES --k 3");
    assert_eq!(ended.out, with_texts);
    assert!(ended.err.contains("has changed"), "{}", ended.err);
}

/// How many passages the golden index has.
fn passages_of(place: &Workplace) -> usize {
    let metadata = place.path("index/0.metadata.json");
    let metadata: Value = serde_json::from_slice(&std::fs::read(metadata).unwrap()).unwrap();
    metadata["num_passages"].as_u64().unwrap() as usize
}

#[test]
fn an_exact_search_finds_what_stages_that_leave_nothing_out_find() {
    let place = indexed();
    let passages = passages_of(&place);
    for k in [1, 10, passages, passages + 5] {
        let exact = place.done(&format!(
            "search index --queries QUERIES --format tsv --exact --k {k}"
        ));
        let everything = place.done(&format!(
            "search index --queries QUERIES --format tsv --k {k} --ncells 100000 --threshold -9 --ndocs {}",
            4 * passages
        ));
        assert_eq!(exact.out, everything.out, "k = {k}");
        assert!(exact.err.contains("had to be scored"), "{}", exact.err);
        assert!(!everything.err.contains("had to be scored"));
    }
}

#[test]
fn a_search_among_some_passages_finds_those_alone() {
    let place = indexed();
    std::fs::write(place.path("ids.txt"), "3\n\n 5 \n8\r\n5\n").unwrap();
    for exact in ["", " --exact"] {
        let line = format!("search index --queries QUERIES --format tsv --only ids.txt{exact}");
        let found = results(&place.done(&line).out);
        assert!(found.iter().all(|result| [3, 5, 8].contains(&result.1)));
        if !exact.is_empty() {
            assert_eq!(found.iter().filter(|result| result.0 == 0).count(), 3);
        }
    }
}

#[test]
fn a_list_of_passages_that_are_not_there_is_refused_in_one_line() {
    let place = indexed();
    for (text, said) in [
        (
            "3\nno-such-id\n",
            "ids.txt, line 2: the index has no passage of the id no-such-id",
        ),
        (
            "4294967295\n",
            "ids.txt, line 1: the index has no passage of the id 4294967295",
        ),
        ("007\n", "the index has no passage of the id 007"),
        (" \n", "ids.txt holds no ids"),
    ] {
        std::fs::write(place.path("ids.txt"), text).unwrap();
        place
            .run("search index rain --only ids.txt --exact")
            .refused(&[said]);
    }
    place
        .run("search index rain --only gone.txt")
        .refused(&["cannot read gone.txt"]);
}
