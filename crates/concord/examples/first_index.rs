//! Builds the index of `collection.tsv` in the working folder and searches it.
//!
//! Run it where such a file lies: `cargo run --example first_index`. The checkpoint is fetched from the Hugging Face
//! hub the first time.

// The lines are those of the documentation, to the letter.
#[rustfmt::skip]
fn main() -> Result<(), concord::Error> {
    let checkpoint = concord::Checkpoint::load("colbert-ir/colbertv2.0")?;
    concord::Builder::new(&checkpoint).nbits(2).build("collection.tsv", "index")?;
    let searcher = concord::Searcher::open("index")?;          // owned, Arc inside, checks what the program checks
    for hit in searcher.search("parking fine", 10)? { println!("{} {}", hit.id, hit.score); }
    Ok(())
}
