//! A summation tree as lines of text.

use concord_lab::reveal::SumTree;

use crate::figures::count;
use crate::tree_sketch::{Piece, Sketch};

/// The most blocks: each is a letter, and has a line.
const BLOCKS: usize = 16;

/// The tree as a sum of named parts, and a line for each of them; at most 18 lines.
///
/// `⟨a + b + c⟩` is one addition of three parts.
///
/// ```text
/// ((a + b) + c) + d
/// a  0 … 111    112 terms  one after the other
/// b  112 … 223  112 terms  one after the other
/// c  224 … 335  112 terms  one after the other
/// d  336 … 383   48 terms  one after the other
/// ```
pub fn tree_text(tree: &SumTree) -> String {
    let sketch = Sketch::of(tree, BLOCKS);
    // Letters in the order of the terms, whatever is added to what.
    let mut order: Vec<usize> = (0..sketch.blocks.len()).collect();
    order.sort_by_key(|&block| sketch.blocks[block].terms.first());
    let mut letters = vec!['a'; order.len()];
    for (letter, &block) in ('a'..='z').zip(&order) {
        letters[block] = letter;
    }

    let rows: Vec<[String; 3]> = (order.iter().map(|&block| &sketch.blocks[block]))
        .map(|block| {
            let terms = block.terms.count();
            let plural = if terms == 1 { "term " } else { "terms" };
            [
                block.terms.words(),
                format!("{} {plural}", count(terms)),
                block.manner.words(),
            ]
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let (terms, counts) = (width(0), width(1));

    let mut text = String::new();
    if let Piece::Joint(_) = sketch.root {
        expression(&sketch.root, &letters, true, &mut text);
        text.push('\n');
    }
    for (row, &block) in rows.iter().zip(&order) {
        let [which, how_many, manner] = row;
        let letter = letters[block];
        let line = format!("{letter}  {which:terms$}  {how_many:>counts$}  {manner}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn expression(piece: &Piece, letters: &[char], outermost: bool, text: &mut String) {
    let parts = match piece {
        Piece::Block(block) => {
            text.push(letters[*block]);
            return;
        }
        Piece::Joint(parts) => parts,
    };
    let (open, close) = match parts.len() {
        2 if outermost => ("", ""),
        2 => ("(", ")"),
        _ => ("⟨", "⟩"),
    };
    text.push_str(open);
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            text.push_str(" + ");
        }
        expression(part, letters, false, text);
    }
    text.push_str(close);
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_lab::reveal::{Cut, Order, Pairing};

    #[test]
    fn a_tree_is_a_sum_of_named_parts() {
        let runs = Order::runs(112).tree(384).unwrap();
        assert_eq!(
            tree_text(&runs),
            "((a + b) + c) + d\n\
             a  0 … 111    112 terms  one after the other\n\
             b  112 … 223  112 terms  one after the other\n\
             c  224 … 335  112 terms  one after the other\n\
             d  336 … 383   48 terms  one after the other\n"
        );
        let lanes = Order::lanes(4, Order::Pairwise(Pairing::Far));
        assert_eq!(
            tree_text(&lanes.tree(384).unwrap()),
            "(a + c) + (b + d)\n\
             a  0, 4 … 380  96 terms  one after the other\n\
             b  1, 5 … 381  96 terms  one after the other\n\
             c  2, 6 … 382  96 terms  one after the other\n\
             d  3, 7 … 383  96 terms  one after the other\n"
        );
        let sequential = Order::SEQUENTIAL.tree(1536).unwrap();
        assert_eq!(
            tree_text(&sequential),
            "a  0 … 1535  1,536 terms  one after the other\n"
        );
        let split = Order::Parts {
            cut: Cut::Runs(192),
            within: vec![Order::Fused { width: 16 }],
            joined: Box::new(Order::AtOnce),
        };
        let split = tree_text(&split.tree(576).unwrap());
        assert!(split.starts_with("⟨a + b + c⟩\na  0 … 191"), "{split}");
    }

    #[test]
    fn no_tree_takes_more_than_eighteen_lines() {
        for order in [
            Order::runs(16),
            Order::Pairwise(Pairing::Neighbours),
            Order::Pairwise(Pairing::Far),
            Order::lanes(32, Order::SEQUENTIAL),
            Order::lanes(16, Order::Pairwise(Pairing::Far)),
            Order::split_k(1536, 64),
        ] {
            let text = tree_text(&order.tree(1536).unwrap());
            assert!(text.lines().count() <= 18, "{text}");
        }
    }
}
