//! The order in which an operation adds its terms, as a tree.

use std::collections::BTreeMap;
use std::fmt;

use concord_tensor::BitHash;
use serde::Serialize;

/// A summation tree: its leaves are the terms `0..n` of a sum, its inner nodes are additions.
///
/// A node is a number. The nodes `0..n` are the terms; those above are additions, of two parts or, where
/// the hardware adds several numbers in one step, of more. Parts of an addition are in the order of their
/// smallest term and additions are numbered bottom-up in that order, so two trees are equal exactly if
/// they add the same terms in the same way; that `a + b` and `b + a` are the same tree is no loss, since
/// floating-point addition commutes.
///
/// ```
/// use concord_lab::reveal::SumTree;
///
/// let tree = SumTree::new(3, vec![vec![2, 4], vec![1, 0]], 3)?;
/// assert_eq!(tree.to_string(), "((0 1) 2)");
/// assert_eq!(tree.terms_under_join(0, 2), 3);
/// # Ok::<(), concord_lab::reveal::TreeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SumTree {
    terms: usize,
    /// The parts of each addition, by node less `terms`.
    additions: Vec<Vec<usize>>,
    /// The addition that each node is a part of; the root has itself.
    parents: Vec<usize>,
    spans: Vec<Span>,
}

/// What a node sums, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Span {
    first: usize,
    last: usize,
    /// The greatest common divisor of the distances to `first`; 0 for a single term.
    step: usize,
    size: usize,
    height: usize,
}

/// Terms at equal distances: `first`, `first + step`, … , `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Progression {
    /// The smallest term.
    pub first: usize,
    /// The distance between neighbours; 1 for neighbouring terms, and for a single one.
    pub step: usize,
    /// How many terms.
    pub count: usize,
}

impl Progression {
    /// The largest term.
    pub fn last(&self) -> usize {
        self.first + self.step * self.count.saturating_sub(1)
    }
}

/// A tree in numbers: what JSON shows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeSummary {
    /// How many terms are added.
    pub terms: usize,
    /// The [hash](SumTree::hash) of the order.
    pub hash: BitHash,
    /// How many additions follow one another, at most.
    pub depth: usize,
    /// How many parts the last addition has.
    pub fan_out: usize,
    /// How many additions there are of each number of parts.
    pub arities: BTreeMap<usize, usize>,
}

/// Why nodes do not make a summation tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("a sum has at least one term")]
    NoTerms,
    /// An addition of fewer than two parts.
    #[error("node {node} adds {parts} parts; an addition has at least two")]
    TooFewParts {
        node: usize,
        /// How many parts it has.
        parts: usize,
    },
    /// A node is named that does not exist.
    #[error("there is no node {node}: the tree has {nodes}")]
    NoSuchNode {
        node: usize,
        /// How many nodes there are, terms included.
        nodes: usize,
    },
    /// A node takes part in two additions.
    #[error("node {node} is added twice")]
    AddedTwice { node: usize },
    /// A node does not reach the total.
    #[error("node {node} is not part of the total")]
    LeftOut { node: usize },
}

impl SumTree {
    /// The tree of `terms` terms whose addition `terms + a` adds the nodes `additions[a]`, with the total
    /// at the node `total`. Additions may come in any order.
    ///
    /// # Errors
    /// When the nodes do not make one tree in which every term and every addition is used once.
    pub fn new(
        terms: usize,
        additions: Vec<Vec<usize>>,
        total: usize,
    ) -> Result<SumTree, TreeError> {
        check(terms, &additions, total)?;
        let nodes = terms + additions.len();
        let mut top_down = Vec::with_capacity(nodes);
        let mut open = vec![total];
        while let Some(node) = open.pop() {
            top_down.push(node);
            open.extend(node.checked_sub(terms).iter().flat_map(|&a| &additions[a]));
        }
        if top_down.len() < nodes {
            // Every node has one parent, so those that the total does not reach are a cycle.
            let mut reached = vec![false; nodes];
            top_down.iter().for_each(|&node| reached[node] = true);
            let node = reached.iter().position(|reached| !reached).unwrap_or(0);
            return Err(TreeError::LeftOut { node });
        }

        let mut additions = additions;
        let mut first: Vec<usize> = (0..nodes).collect();
        for &node in top_down.iter().rev().filter(|&&node| node >= terms) {
            let parts = &mut additions[node - terms];
            parts.sort_by_key(|&part| first[part]);
            first[node] = first[parts[0]];
        }
        Ok(Self::numbered(terms, &additions, total))
    }

    /// Numbers additions bottom-up, given their parts in order.
    fn numbered(terms: usize, additions: &[Vec<usize>], total: usize) -> SumTree {
        // Parts before the addition, the first part before the second: the reverse of a walk that takes
        // the addition first and its last part next.
        let mut reversed = Vec::with_capacity(additions.len());
        let mut open = vec![total];
        while let Some(node) = open.pop() {
            if let Some(addition) = node.checked_sub(terms) {
                reversed.push(addition);
                open.extend(&additions[addition]);
            }
        }
        let mut number: Vec<usize> = (0..terms + additions.len()).collect();
        for (at, &addition) in reversed.iter().rev().enumerate() {
            number[terms + addition] = terms + at;
        }
        let additions: Vec<Vec<usize>> = (reversed.iter().rev())
            .map(|&addition| additions[addition].iter().map(|&p| number[p]).collect())
            .collect();

        let nodes = terms + additions.len();
        let mut parents = vec![nodes - 1; nodes];
        let mut spans: Vec<Span> = (0..terms).map(Span::of_term).collect();
        for (at, parts) in additions.iter().enumerate() {
            parts.iter().for_each(|&part| parents[part] = terms + at);
            spans.push(Span::of_parts(parts.iter().map(|&part| spans[part])));
        }
        SumTree {
            terms,
            additions,
            parents,
            spans,
        }
    }

    /// How many terms are added.
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// How many nodes there are: the terms and the additions.
    pub fn nodes(&self) -> usize {
        self.spans.len()
    }

    /// The node of the total.
    pub fn root(&self) -> usize {
        self.nodes() - 1
    }

    /// The parts that a node adds, in the order of their smallest terms; none for a term.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn parts(&self, node: usize) -> &[usize] {
        node.checked_sub(self.terms)
            .map_or(&[], |addition| &self.additions[addition])
    }

    /// The addition that a node is a part of; `None` for the root.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn parent(&self, node: usize) -> Option<usize> {
        Some(self.parents[node]).filter(|&parent| parent != node)
    }

    /// How many terms a node sums.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn size(&self, node: usize) -> usize {
        self.spans[node].size
    }

    /// The smallest term that a node sums.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn first(&self, node: usize) -> usize {
        self.spans[node].first
    }

    /// The terms that a node sums, if they are at equal distances.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn progression(&self, node: usize) -> Option<Progression> {
        let Span {
            first,
            last,
            step,
            size,
            ..
        } = self.spans[node];
        let regular = size == 1 || (last - first) / step + 1 == size;
        regular.then_some(Progression {
            first,
            step: step.max(1),
            count: size,
        })
    }

    /// How many additions follow one another, at most, from a term up to a node.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn height(&self, node: usize) -> usize {
        self.spans[node].height
    }

    /// How many additions follow one another, at most: `n - 1` for a sequential sum.
    pub fn depth(&self) -> usize {
        self.height(self.root())
    }

    /// How many parts the last addition has; 0 for a single term.
    pub fn fan_out(&self) -> usize {
        self.parts(self.root()).len()
    }

    /// How many additions there are of each number of parts.
    pub fn arities(&self) -> BTreeMap<usize, usize> {
        let mut arities = BTreeMap::new();
        for parts in &self.additions {
            *arities.entry(parts.len()).or_insert(0) += 1;
        }
        arities
    }

    pub fn summary(&self) -> TreeSummary {
        TreeSummary {
            terms: self.terms,
            hash: self.hash(),
            depth: self.depth(),
            fan_out: self.fan_out(),
            arities: self.arities(),
        }
    }

    /// Whether every addition has two parts.
    pub fn is_binary(&self) -> bool {
        self.additions.iter().all(|parts| parts.len() == 2)
    }

    /// The lowest node that sums all that two nodes sum.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn join(&self, a: usize, b: usize) -> usize {
        let (mut a, mut b) = (a, b);
        while a != b {
            // A node is smaller than those above it, so the smaller of two is never above the other.
            match self.size(a).cmp(&self.size(b)) {
                std::cmp::Ordering::Less => a = self.parents[a],
                std::cmp::Ordering::Greater => b = self.parents[b],
                std::cmp::Ordering::Equal => (a, b) = (self.parents[a], self.parents[b]),
            }
        }
        a
    }

    /// How many terms the lowest node sums that sums both: `l(i, j)` of FPRev.
    ///
    /// # Panics
    /// When there is no such term.
    pub fn terms_under_join(&self, i: usize, j: usize) -> usize {
        self.size(self.join(i, j))
    }

    /// The terms that a node sums, ascending.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn terms_of(&self, node: usize) -> Vec<usize> {
        let mut terms = Vec::with_capacity(self.size(node));
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if node < self.terms {
                terms.push(node);
            }
            open.extend(self.parts(node));
        }
        terms.sort_unstable();
        terms
    }

    /// The tree below a node, its terms numbered from zero in their order.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn subtree(&self, node: usize) -> SumTree {
        self.above(&self.terms_of(node), node)
    }

    /// The tree that adds the nodes `leaves` up to the node `root`; `leaves[t]` becomes the term `t`.
    ///
    /// The leaves are disjoint and together all that `root` sums, which the caller has seen to.
    pub(crate) fn above(&self, leaves: &[usize], root: usize) -> SumTree {
        let mut number = vec![None; self.nodes()];
        for (term, &leaf) in leaves.iter().enumerate() {
            number[leaf] = Some(term);
        }
        let (mut open, mut reversed) = (vec![root], Vec::new());
        while let Some(node) = open.pop() {
            if number[node].is_none() {
                reversed.push(node);
                open.extend(self.parts(node));
            }
        }
        for (at, &node) in reversed.iter().rev().enumerate() {
            number[node] = Some(leaves.len() + at);
        }
        let mut first: Vec<usize> = (0..leaves.len()).collect();
        let mut additions = Vec::with_capacity(reversed.len());
        for &node in reversed.iter().rev() {
            let parts = self.parts(node).iter();
            let mut parts: Vec<usize> = parts.filter_map(|&part| number[part]).collect();
            parts.sort_by_key(|&part| first[part]);
            first.push(parts.first().map_or(0, |&part| first[part]));
            additions.push(parts);
        }
        Self::numbered(leaves.len(), &additions, leaves.len() + additions.len() - 1)
    }

    /// The hash of the tree, the same for the same order of additions wherever it was found.
    ///
    /// A term hashes as SHA-256 of `term`, a zero byte and its number; an addition as that of `sum`, a
    /// zero byte, its number of parts and the hashes of its parts in the order of their smallest terms.
    /// Numbers are unsigned 64-bit little-endian integers.
    pub fn hash(&self) -> BitHash {
        let mut hashes: Vec<BitHash> = Vec::with_capacity(self.nodes());
        let mut preimage = Vec::new();
        for node in 0..self.nodes() {
            preimage.clear();
            if node < self.terms {
                preimage.extend_from_slice(b"term\0");
                preimage.extend_from_slice(&(node as u64).to_le_bytes());
            } else {
                let parts = self.parts(node);
                preimage.extend_from_slice(b"sum\0");
                preimage.extend_from_slice(&(parts.len() as u64).to_le_bytes());
                for &part in parts {
                    preimage.extend_from_slice(hashes[part].as_bytes());
                }
            }
            hashes.push(BitHash::of_bytes(&preimage));
        }
        hashes[self.root()]
    }
}

/// The tree in brackets: `((0 1) 2)`; an addition in one step of three terms is `(0 1 2)`.
impl fmt::Display for SumTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut open = vec![(self.root(), 0)];
        while let Some((node, part)) = open.pop() {
            let parts = self.parts(node);
            if parts.is_empty() {
                write!(f, "{node}")?;
            } else if let Some(&next) = parts.get(part) {
                f.write_str(if part == 0 { "(" } else { " " })?;
                open.push((node, part + 1));
                open.push((next, 0));
            } else {
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SumTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Span {
    fn of_term(term: usize) -> Span {
        Span {
            first: term,
            last: term,
            step: 0,
            size: 1,
            height: 0,
        }
    }

    /// The span of parts, the first of which has the smallest term.
    fn of_parts(parts: impl Iterator<Item = Span>) -> Span {
        let sum = parts.reduce(|sum, part| Span {
            first: sum.first,
            last: sum.last.max(part.last),
            step: gcd(sum.step, gcd(part.step, part.first - sum.first)),
            size: sum.size + part.size,
            height: sum.height.max(part.height),
        });
        let sum = sum.unwrap_or(Span::of_term(0));
        Span {
            height: sum.height + 1,
            ..sum
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn check(terms: usize, additions: &[Vec<usize>], total: usize) -> Result<(), TreeError> {
    if terms == 0 {
        return Err(TreeError::NoTerms);
    }
    let nodes = terms + additions.len();
    let mut used = vec![false; nodes];
    for (at, parts) in additions.iter().enumerate() {
        if parts.len() < 2 {
            let (node, parts) = (terms + at, parts.len());
            return Err(TreeError::TooFewParts { node, parts });
        }
        for &node in parts {
            match used.get_mut(node) {
                None => return Err(TreeError::NoSuchNode { node, nodes }),
                Some(true) => return Err(TreeError::AddedTwice { node }),
                Some(used) => *used = true,
            }
        }
    }
    match used.get_mut(total) {
        None => return Err(TreeError::NoSuchNode { node: total, nodes }),
        Some(true) => return Err(TreeError::AddedTwice { node: total }),
        Some(used) => *used = true,
    }
    match used.iter().position(|used| !used) {
        Some(node) => Err(TreeError::LeftOut { node }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(terms: usize, additions: &[&[usize]], total: usize) -> Result<SumTree, TreeError> {
        let additions = additions.iter().map(|parts| parts.to_vec()).collect();
        SumTree::new(terms, additions, total)
    }

    #[test]
    fn equal_orders_are_equal_trees_however_they_are_written() {
        let first = tree(5, &[&[0, 1], &[5, 2], &[3, 4], &[6, 7]], 8).unwrap();
        let second = tree(5, &[&[8, 6], &[4, 3], &[1, 0], &[2, 7]], 5).unwrap();
        assert_eq!(first.to_string(), "(((0 1) 2) (3 4))");
        assert_eq!(first, second);
        assert_eq!(first.hash(), second.hash());
        let other = tree(5, &[&[0, 2], &[5, 1], &[3, 4], &[6, 7]], 8).unwrap();
        assert_ne!(first.hash(), other.hash());
    }

    #[test]
    fn a_tree_knows_its_numbers() {
        let tree = tree(6, &[&[0, 2, 4], &[1, 3], &[6, 7], &[8, 5]], 9).unwrap();
        assert_eq!((tree.depth(), tree.fan_out()), (3, 2));
        assert_eq!(tree.arities(), BTreeMap::from([(2, 3), (3, 1)]));
        assert_eq!(tree.terms_under_join(0, 4), 3);
        assert_eq!(tree.terms_under_join(4, 3), 5);
        assert_eq!(tree.terms_under_join(5, 1), 6);
        let odd = tree.join(1, 3);
        assert_eq!(tree.terms_of(odd), [1, 3]);
        let progression = Progression {
            first: 0,
            step: 2,
            count: 3,
        };
        assert_eq!(tree.progression(tree.join(0, 2)), Some(progression));
        assert_eq!(tree.subtree(tree.join(0, 1)).to_string(), "((0 2 4) (1 3))");
        assert!(!tree.is_binary());
        let json = serde_json::to_string(&tree.summary()).unwrap();
        let hash = tree.hash();
        assert_eq!(
            json,
            format!(
                "{{\"terms\":6,\"hash\":\"{hash}\",\"depth\":3,\"fan_out\":2,\"arities\":{{\"2\":3,\"3\":1}}}}"
            )
        );
    }

    /// What Python gives for
    /// `t = lambda i: sha256(b"term\0" + i.to_bytes(8, "little")).digest()` and
    /// `sha256(b"sum\0" + (2).to_bytes(8, "little") + t(0) + t(1)).hexdigest()`.
    #[test]
    fn the_hash_is_the_documented_one() {
        let pair = tree(2, &[&[0, 1]], 2).unwrap();
        assert_eq!(
            pair.hash().to_string(),
            "sha256:e90102da1fffae8e1e1abaedc21cd10f588dd71d37f5ec9aab5796d26b9b9bc9"
        );
    }

    #[test]
    fn what_is_no_tree_is_refused_with_the_node() {
        assert_eq!(tree(0, &[], 0), Err(TreeError::NoTerms));
        assert_eq!(tree(1, &[], 0).map(|tree| tree.depth()), Ok(0));
        assert_eq!(tree(2, &[], 0), Err(TreeError::LeftOut { node: 1 }));
        let lonely = TreeError::TooFewParts { node: 2, parts: 1 };
        assert_eq!(tree(2, &[&[0]], 2), Err(lonely));
        assert_eq!(
            tree(2, &[&[0, 0]], 2),
            Err(TreeError::AddedTwice { node: 0 })
        );
        let unknown = TreeError::NoSuchNode { node: 9, nodes: 3 };
        assert_eq!(tree(2, &[&[0, 9]], 2), Err(unknown.clone()));
        assert_eq!(tree(2, &[&[0, 1]], 9), Err(unknown));
        // Two additions of each other never reach the total.
        let cycle = tree(3, &[&[0, 4], &[1, 3], &[2, 6], &[2, 5]], 2);
        assert!(cycle.is_err());
        let cycle = tree(4, &[&[0, 1], &[2, 6], &[3, 5]], 4);
        assert_eq!(cycle, Err(TreeError::LeftOut { node: 2 }));
    }
}
