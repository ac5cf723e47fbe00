//! Indexes of embeddings, and queries that are embeddings, from the command line.

use concord_tensor::{Tensor, npy};

use crate::program::Workplace;

fn place() -> Workplace {
    let place = Workplace::new();
    let value = |at: usize| ((at * at) as f32 * 0.37).sin();
    let tensor = |shape: Vec<usize>| {
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        Tensor::new(shape, values).unwrap()
    };
    npy::write(place.path("passages.npy"), &tensor(vec![40, 16])).unwrap();
    npy::write(place.path("each.npy"), &tensor(vec![20, 2, 16])).unwrap();
    // The first query is the first passage.
    npy::write(place.path("queries.npy"), &tensor(vec![3, 2, 16])).unwrap();
    npy::write(place.path("wide.npy"), &tensor(vec![2, 24])).unwrap();
    place.file("doclens.txt", "2\n".repeat(20));
    let ids: String = (0..20).map(|number| format!("id-{number}\n")).collect();
    place.file("ids.txt", ids);
    place
}

#[test]
fn an_index_of_embeddings_is_built_searched_verified_and_compared() {
    let place = place();
    let built = place
        .done("index --embeddings passages.npy --doclens doclens.txt --ids ids.txt --out index");
    assert!(
        built.out.starts_with("index: 20 passages, 40 embeddings, "),
        "{}",
        built.out
    );
    assert!(
        built.err.contains("long; an index keeps directions"),
        "{}",
        built.err
    );
    let again = place
        .done("index --embeddings passages.npy --doclens doclens.txt --ids ids.txt --out index");
    assert_eq!(again.out, "index holds this index already\n");

    let found =
        place.done("search index --query-embeddings queries.npy --k 20 --format trec --exact");
    assert!(found.out.starts_with("0 Q0 id-0 1 "), "{}", found.out);
    assert_eq!(found.out.lines().count(), 60);
    place.file("only.txt", "id-3\nid-5\n");
    let among = place
        .done("search index --query-embeddings queries.npy --only only.txt --exact --format trec");
    assert_eq!(among.out.lines().count(), 6);
    let table = place.done("search index --query-embeddings queries.npy --format table --k 1");
    assert!(table.out.starts_with("0: 2 embeddings\n"), "{}", table.out);

    place.done("verify index");
    place.done("verify index --embeddings passages.npy --doclens doclens.txt --ids ids.txt");
    place.done("index --embeddings each.npy --ids ids.txt --out same");
    place.file(
        "more.txt",
        (20..40)
            .map(|number| format!("id-{number}\n"))
            .collect::<String>(),
    );
    place.done("add same --embeddings each.npy --ids more.txt");
    place.done("delete same id-20");
    place.done("verify same");
    place.file(
        "all.txt",
        (0..40)
            .map(|number| format!("id-{number}\n"))
            .collect::<String>(),
    );
    let again = place
        .done("verify same --embeddings each.npy each.npy --ids all.txt")
        .out;
    assert!(
        again.contains("under the codec that the index has: 8 of 8"),
        "{again}"
    );
    place
        .run("verify same --embeddings each.npy --ids ids.txt")
        .refused(&["passage `id-21` is not among those that were given"]);
    place.done("compact same --retrain --embeddings each.npy each.npy --ids all.txt");
    place.done("verify same");
    place.done("index --embeddings each.npy --ids ids.txt --out same --replace");
    place.done("diff index same");
    place.done("index --embeddings each.npy --ids ids.txt --seed 7 --kmeans-niters 1 --out other");
    place.run("diff index other").with_code(1);
    let few = place
        .done("index --embeddings each.npy --partitions 5 --out few")
        .out;
    assert!(few.contains(", 5 centroids, "), "{few}");
    place.done("verify few --embeddings each.npy");
    let most = place.done("index --embeddings each.npy --partitions 1000 --out most");
    assert!(
        most.err
            .contains("too small for 1000 centroids; it gets 38"),
        "{}",
        most.err
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    let place = place();
    place
        .run("index --embeddings passages.npy --out index")
        .refused(&[
            "passages.npy holds 40 embeddings in one tensor",
            "give --doclens",
        ]);
    place
        .run("index --embeddings each.npy --doclens doclens.txt --out index")
        .refused(&["each.npy has a passage of its own", "leave it out"]);
    place
        .run("index --embeddings each.npy --precision int8 --out index")
        .refused(&["--precision int8 would have no effect"]);
    place
        .run("index --embeddings each.npy --nbits 4 --out index")
        .refused(&["width 16 cannot be packed with nbits = 4"]);
    place
        .run("index --embeddings each.npy --checkpoint CHECKPOINT --out index")
        .not_understood(&["--checkpoint"]);
    place
        .run("index --out index")
        .not_understood(&["COLLECTION"]);
    assert!(
        !place.names().iter().any(|name| name.contains("index")),
        "{:?}",
        place.names()
    );

    place.done("index --embeddings each.npy --out index");
    place
        .run("search index fox")
        .refused(&["does not name its checkpoint", "--query-embeddings"]);
    place
        .run("search index --query-embeddings wide.npy")
        .refused(&["the embeddings of the query are 24 wide, and those of the index 16"]);
    place
        .run("verify index --rebuild COLLECTION --checkpoint CHECKPOINT")
        .refused(&["was built from embeddings"]);
    // What it is not is known once all were read, and how far that is was said before.
    let others =
        place.run("verify index --embeddings passages.npy --doclens doclens.txt --ids ids.txt");
    let others = others.with_code(2);
    assert!(others.err.contains("these are not the"), "{}", others.err);
    assert_eq!(others.out, "");
    place.file("more.jsonl", "{\"_id\": \"x\", \"text\": \"a lantern\"}\n");
    place
        .run("add index more.jsonl")
        .refused(&["was built from embeddings"]);
    place.golden_index("texts");
    place
        .run("verify texts --embeddings each.npy")
        .refused(&["was built from texts"]);
}
