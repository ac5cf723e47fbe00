//! A summation tree with what is regular in it taken together, as it is drawn.

use concord_lab::reveal::{Progression, SumTree};

/// A tree of blocks.
pub(crate) struct Sketch {
    /// What is drawn as one, in the order in which lines between them do not cross.
    pub blocks: Vec<Block>,
    pub root: Piece,
}

/// A node of the sketch.
pub(crate) enum Piece {
    /// By its number.
    Block(usize),
    /// An addition of several.
    Joint(Vec<Piece>),
}

/// A subtree that is drawn as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub terms: Terms,
    pub manner: Manner,
}

/// The terms of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    Regular(Progression),
    /// At unequal distances, ascending.
    Listed(Vec<usize>),
}

/// How the terms of a block are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Single,
    /// One after the other, ascending.
    Chain,
    /// One after the other, descending.
    Backwards,
    /// One after the other in some order.
    Disorderly,
    AtOnce,
    /// This many and the running sum in one addition.
    Fused {
        width: usize,
    },
    /// Runs of neighbouring terms, added in order; the first may be longer or shorter.
    Runs {
        count: usize,
        length: usize,
    },
    /// With as few additions upon one another as additions of two allow.
    Balanced,
    /// In some other way, with this many additions upon one another.
    Other {
        depth: usize,
    },
}

impl Manner {
    pub(crate) fn words(self) -> String {
        match self {
            Manner::Single => "a single term".to_owned(),
            Manner::Chain => "one after the other".to_owned(),
            Manner::Backwards => "one after the other, backwards".to_owned(),
            Manner::Disorderly => "one after the other in another order".to_owned(),
            Manner::AtOnce => "in one addition".to_owned(),
            Manner::Fused { width } => format!("{width} and the running sum in one addition"),
            Manner::Runs { count, length } => format!("{count} runs of {length}, added in order"),
            Manner::Balanced => "pairwise".to_owned(),
            Manner::Other { depth } => format!("a tree of depth {depth}"),
        }
    }

    fn is_divided(self) -> bool {
        matches!(
            self,
            Manner::Runs { .. } | Manner::Balanced | Manner::Other { .. }
        )
    }
}

impl Terms {
    fn of(tree: &SumTree, node: usize) -> Terms {
        match tree.progression(node) {
            Some(progression) => Terms::Regular(progression),
            None => Terms::Listed(tree.terms_of(node)),
        }
    }

    pub(crate) fn first(&self) -> usize {
        match self {
            Terms::Regular(progression) => progression.first,
            Terms::Listed(terms) => terms.first().copied().unwrap_or(0),
        }
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Terms::Regular(progression) => progression.count,
            Terms::Listed(terms) => terms.len(),
        }
    }

    /// "0 … 111", "3, 11, 19 … 379".
    pub(crate) fn words(&self) -> String {
        match self {
            Terms::Regular(p) if p.count == 1 => p.first.to_string(),
            Terms::Regular(p) if p.count == 2 => format!("{}, {}", p.first, p.last()),
            Terms::Regular(p) if p.step == 1 => format!("{} … {}", p.first, p.last()),
            Terms::Regular(p) => {
                let second = p.first + p.step;
                format!("{}, {second} … {}", p.first, p.last())
            }
            Terms::Listed(terms) => {
                let shown: Vec<String> = terms.iter().take(3).map(usize::to_string).collect();
                let last = terms.last().copied().unwrap_or(0);
                format!("{} … {last}, not all", shown.join(", "))
            }
        }
    }
}

impl Sketch {
    /// The tree in at most `most` blocks.
    ///
    /// What is added in one simple manner is a block. Everything else is divided at its last addition, all
    /// of the largest size together, as long as there are not too many.
    pub(crate) fn of(tree: &SumTree, most: usize) -> Sketch {
        let mut divided = vec![false; tree.nodes()];
        let mut leaves = vec![(tree.root(), manner(tree, tree.root()))];
        loop {
            let divisible = leaves.iter().filter(|(_, manner)| manner.is_divided());
            let Some(largest) = divisible.map(|&(node, _)| tree.size(node)).max() else {
                break;
            };
            let is_next = |&(node, manner): &(usize, Manner)| {
                manner.is_divided() && tree.size(node) == largest
            };
            let (next, rest): (Vec<_>, Vec<_>) = leaves.iter().partition(|leaf| is_next(leaf));
            let parts = next.iter().flat_map(|&&(node, _)| tree.parts(node));
            let parts: Vec<(usize, Manner)> =
                parts.map(|&part| (part, manner(tree, part))).collect();
            if rest.len() + parts.len() > most {
                break;
            }
            next.iter().for_each(|&&(node, _)| divided[node] = true);
            leaves = rest.into_iter().copied().chain(parts).collect();
        }
        let mut blocks = Vec::new();
        let root = piece(tree, tree.root(), &divided, &mut blocks);
        Sketch { blocks, root }
    }
}

/// Divided nodes are at most as many as blocks, so this does not go deep.
fn piece(tree: &SumTree, node: usize, divided: &[bool], blocks: &mut Vec<Block>) -> Piece {
    // Regular terms that would fall into irregular ones stay together.
    let scatters = |part: &usize| !divided[*part] && tree.progression(*part).is_none();
    let stays = tree.progression(node).is_some() && tree.parts(node).iter().any(scatters);
    if divided[node] && !stays {
        let parts = tree.parts(node).iter();
        return Piece::Joint(
            parts
                .map(|&part| piece(tree, part, divided, blocks))
                .collect(),
        );
    }
    blocks.push(Block {
        terms: Terms::of(tree, node),
        manner: manner(tree, node),
    });
    Piece::Block(blocks.len() - 1)
}

fn manner(tree: &SumTree, node: usize) -> Manner {
    let parts = tree.parts(node);
    let is_term = |&part: &usize| tree.parts(part).is_empty();
    if parts.is_empty() {
        Manner::Single
    } else if parts.len() > 2 && parts.iter().all(is_term) {
        Manner::AtOnce
    } else if let Some(manner) = chain(tree, node) {
        manner
    } else if let Some(manner) = runs(tree, node) {
        manner
    } else if is_balanced(tree, node) {
        Manner::Balanced
    } else {
        Manner::Other {
            depth: tree.height(node),
        }
    }
}

/// Whether additions of two are upon one another as little as they can be.
fn is_balanced(tree: &SumTree, node: usize) -> bool {
    let least = tree.size(node).next_power_of_two().ilog2() as usize;
    if tree.height(node) != least {
        return false;
    }
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if tree.parts(node).len() > 2 {
            return false;
        }
        open.extend(tree.parts(node));
    }
    true
}

/// A running sum that takes terms, one or several at a time.
fn chain(tree: &SumTree, node: usize) -> Option<Manner> {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut sum = node;
    loop {
        let parts = tree.parts(sum);
        let mut sums = parts.iter().filter(|&&part| !tree.parts(part).is_empty());
        let (next, more) = (sums.next(), sums.next());
        if more.is_some() {
            return None;
        }
        let terms = parts
            .iter()
            .copied()
            .filter(|&part| tree.parts(part).is_empty());
        steps.push(terms.collect());
        match next {
            Some(&next) => sum = next,
            None => break,
        }
    }
    steps.reverse();
    if tree.height(node) + 1 == tree.size(node) {
        // The first two terms have no order.
        let terms: Vec<usize> = steps.iter().flatten().copied().skip(1).collect();
        let first = tree.first(node);
        return Some(if terms.is_sorted() && steps[0].contains(&first) {
            Manner::Chain
        } else if terms[1..].is_sorted_by(|a, b| a > b)
            && terms[1..]
                .first()
                .is_none_or(|third| steps[0].iter().all(|term| term > third))
        {
            Manner::Backwards
        } else {
            Manner::Disorderly
        });
    }
    let width = steps.get(1)?.len();
    let last = steps.len() - 1;
    let regular = (steps.iter().enumerate())
        .all(|(at, step)| step.len() == width || (at == 0 || at == last) && step.len() < width + 2);
    (regular && width > 1 && steps.iter().flatten().is_sorted()).then_some(Manner::Fused { width })
}

/// Runs added in order, each a chain, all but the first and the last of one length.
fn runs(tree: &SumTree, node: usize) -> Option<Manner> {
    let (mut count, mut length, mut sum) = (1, None, node);
    while chain(tree, sum).is_none() {
        let &[head, run] = tree.parts(sum) else {
            return None;
        };
        let follows = tree.progression(run).is_some_and(|run| run.step == 1)
            && tree.progression(head).is_some_and(|head| head.step == 1);
        let size = tree.size(run);
        if !follows || (size > 1 && chain(tree, run) != Some(Manner::Chain)) {
            return None;
        }
        // The last run, met first, may be shorter.
        if count > 2 && length != Some(size) {
            return None;
        }
        length = Some(size);
        count += 1;
        sum = head;
    }
    let length = length.filter(|&length| length == tree.size(sum) && length > 1)?;
    (chain(tree, sum) == Some(Manner::Chain)).then_some(Manner::Runs { count, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_lab::reveal::{Order, Pairing};

    fn sketch(order: &Order, terms: usize, most: usize) -> Vec<(usize, Manner)> {
        let sketch = Sketch::of(&order.tree(terms).unwrap(), most);
        let blocks = sketch.blocks.iter();
        blocks
            .map(|block| (block.terms.count(), block.manner))
            .collect()
    }

    #[test]
    fn what_is_added_in_one_manner_is_one_block() {
        assert_eq!(sketch(&Order::SEQUENTIAL, 384, 16), [(384, Manner::Chain)]);
        assert_eq!(
            sketch(&Order::REVERSED, 384, 16),
            [(384, Manner::Backwards)]
        );
        assert_eq!(sketch(&Order::AtOnce, 384, 16), [(384, Manner::AtOnce)]);
        let fused = Order::Fused { width: 16 };
        assert_eq!(
            sketch(&fused, 384, 16),
            [(384, Manner::Fused { width: 16 })]
        );
        let swapped = Order::Sequential {
            reversed: false,
            group: 2,
        };
        assert_eq!(sketch(&swapped, 384, 16), [(384, Manner::Disorderly)]);
        for terms in [2, 3] {
            assert_eq!(
                sketch(&Order::SEQUENTIAL, terms, 16),
                [(terms, Manner::Chain)]
            );
        }
        assert_eq!(sketch(&Order::REVERSED, 3, 16), [(3, Manner::Backwards)]);
    }

    #[test]
    fn the_largest_is_divided_until_there_are_enough_blocks() {
        let chain = |size| (size, Manner::Chain);
        assert_eq!(
            sketch(&Order::runs(112), 384, 16),
            [112, 112, 112, 48].map(chain)
        );
        let many = sketch(&Order::runs(16), 1536, 16);
        let head = Manner::Runs {
            count: 81,
            length: 16,
        };
        assert_eq!(many[0], (81 * 16, head));
        assert_eq!(many[1..], [chain(16); 15]);
        let pairwise = Order::Pairwise(Pairing::Neighbours);
        assert_eq!(sketch(&pairwise, 1024, 16), [(64, Manner::Balanced); 16]);
        assert_eq!(sketch(&pairwise, 1536, 16), [(128, Manner::Balanced); 12]);
    }
}
