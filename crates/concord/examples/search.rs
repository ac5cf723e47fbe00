//! Searches an index from several threads that share one searcher.
//!
//! `cargo run --release --example search -- index "a question" ["another question" …]`

use std::error::Error;
use std::thread;

use concord::Searcher;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [index, queries @ ..] = arguments.as_slice() else {
        return Err("usage: search INDEX QUERY…".into());
    };
    let searcher = Searcher::open(index)?;
    let asked: Vec<_> = queries
        .iter()
        .map(|query| {
            let (searcher, query) = (searcher.clone(), query.clone());
            thread::spawn(move || searcher.search(&query, 3))
        })
        .collect();
    for (query, thread) in queries.iter().zip(asked) {
        println!("{query}");
        for hit in thread.join().map_err(|_| "a search panicked")?? {
            let text = searcher.text(hit.pid).unwrap_or_default();
            println!("  {} {:.4} {text}", hit.id, hit.score);
        }
    }
    Ok(())
}
