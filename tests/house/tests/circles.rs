//! No two files of a crate use each other, directly or by way of others.

use std::collections::BTreeSet;

use house::{Crate, crates};

/// Crates whose circles are being untied.
const TIED: [&str; 3] = ["lab", "model", "subject"];

#[test]
fn no_files_of_a_crate_use_each_other_in_a_circle() {
    let mut crates = crates();
    crates.retain(|house| !TIED.contains(&house.name.as_str()));
    let circles: Vec<String> = crates.iter().flat_map(circles).collect();
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// The circles of a crate, each as the files in it.
fn circles(house: &Crate) -> Vec<String> {
    let uses = house.uses();
    let reached: Vec<BTreeSet<usize>> = (0..uses.len()).map(|from| reached(&uses, from)).collect();
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for from in 0..uses.len() {
        let together: Vec<usize> = (0..uses.len())
            .filter(|&other| reached[from].contains(&other) && reached[other].contains(&from))
            .collect();
        if !together.is_empty() && told.insert(together.clone()) {
            circles.push(description(house, &uses, &together));
        }
    }
    circles
}

/// Everything that can be reached from a file in one step or more.
fn reached(uses: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<usize> = uses[from].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(&uses[file]);
        }
    }
    reached
}

fn description(house: &Crate, uses: &[BTreeSet<usize>], together: &[usize]) -> String {
    let name = |&file: &usize| house.files[file].path.display().to_string();
    let lines = together.iter().map(|file| {
        let others = uses[*file].iter().filter(|used| together.contains(used));
        let others: Vec<String> = others.map(name).collect();
        format!("  {} uses {}", name(file), others.join(", "))
    });
    let lines: Vec<String> = lines.collect();
    format!("a circle in `{}`:\n{}", house.name, lines.join("\n"))
}
