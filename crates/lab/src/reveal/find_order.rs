//! Finding the rule by which a tree adds its terms.

use std::collections::HashMap;

use super::order::{Cut, Order, Pairing};
use super::tree::{Progression, SumTree};

/// How deep parts within parts are looked into.
const NESTING: usize = 6;

/// The most parts that are told apart by length, or described one by one.
const LISTED: usize = 24;

impl Order {
    /// The simplest rule found that makes this tree; [`Order::Irregular`] if none was.
    ///
    /// Whatever rule is returned makes exactly this tree: candidates are read off the tree's outline, and
    /// kept only if [`Order::tree`] gives the tree back.
    pub fn of(tree: &SumTree) -> Order {
        Finder::default().order(tree, NESTING)
    }

    /// Whether this, and everything in it, is a rule.
    pub fn is_regular(&self) -> bool {
        match self {
            Order::Irregular(_) => false,
            Order::Sequential { .. } | Order::AtOnce | Order::Fused { .. } | Order::Pairwise(_) => {
                true
            }
            Order::Halves { within, .. } | Order::Onto { within, .. } => within.is_regular(),
            Order::Parts { within, joined, .. } => {
                joined.is_regular() && within.iter().all(Order::is_regular)
            }
        }
    }

    /// About how much there is to say: the simplest of several true descriptions is wanted.
    fn weight(&self) -> usize {
        match self {
            Order::Sequential { reversed, group } => {
                1 + usize::from(*reversed) + usize::from(*group > 1)
            }
            Order::AtOnce => 1,
            Order::Fused { .. } | Order::Pairwise(_) => 2,
            Order::Halves { within, .. } => 6 + within.weight(),
            Order::Onto { within, .. } => 4 + within.weight(),
            Order::Parts {
                cut,
                within,
                joined,
            } => {
                let cut = match cut {
                    Cut::Runs(_) | Cut::Lanes(_) => 3,
                    Cut::Lengths(lengths) => 3 + lengths.len(),
                    Cut::RestAndLanes { .. }
                    | Cut::LanesThenRest { .. }
                    | Cut::HeadThenLanes { .. } => 6,
                };
                // Parts of parts are easier to follow than parts of the order of parts.
                let aside = match **joined {
                    Order::Sequential { .. } | Order::AtOnce | Order::Pairwise(_) => 0,
                    _ => 3,
                };
                // Rules that several parts have are told once.
                let distinct = within.iter().enumerate();
                let distinct = distinct.filter(|(at, order)| !within[..*at].contains(order));
                let within: usize = distinct.map(|(_, order)| order.weight()).sum();
                cut + joined.weight() + aside + within
            }
            Order::Irregular(tree) => 100 + tree.terms(),
        }
    }
}

/// Looks for rules, and remembers those of trees that occur again: the parts of a tree are often alike.
#[derive(Default)]
struct Finder {
    known: HashMap<SumTree, Order>,
}

impl Finder {
    fn order(&mut self, tree: &SumTree, nesting: usize) -> Order {
        if let Some(order) = simple(tree) {
            return order;
        }
        if nesting == 0 || tree.terms() < 4 {
            return Order::Irregular(tree.clone());
        }
        if let Some(known) = self.known.get(tree) {
            return known.clone();
        }
        let outline = Outline::of(tree);
        let mut best = Order::Irregular(tree.clone());
        for candidate in outline.candidates() {
            let found = self.fill(tree, &outline, candidate, nesting - 1);
            if let Some(found) = found.filter(|found| found.weight() < best.weight())
                && found.tree(tree.terms()).as_ref() == Some(tree)
            {
                best = found;
            }
        }
        self.known.insert(tree.clone(), best.clone());
        best
    }

    /// The candidate with the rules of its parts.
    fn fill(
        &mut self,
        tree: &SumTree,
        outline: &Outline<'_>,
        candidate: Candidate,
        nesting: usize,
    ) -> Option<Order> {
        match candidate {
            Candidate::Cut(cut) => {
                let nodes = outline.nodes_of(&cut)?;
                let joined = self.order(&tree.above(&nodes, tree.root()), nesting);
                let parts: Vec<SumTree> = nodes.iter().map(|&node| tree.subtree(node)).collect();
                let within = self.orders(&parts, nesting)?;
                Some(Order::Parts {
                    cut,
                    within,
                    joined: Box::new(joined),
                })
            }
            Candidate::Onto { head } => Some(Order::Onto {
                head: tree.size(head),
                within: Box::new(self.order(&tree.subtree(head), nesting)),
            }),
            Candidate::Halves { multiple, blocks } => {
                let largest = *blocks.iter().max_by_key(|&&block| tree.size(block))?;
                Some(Order::Halves {
                    multiple,
                    block: tree.size(largest),
                    within: Box::new(self.order(&tree.subtree(largest), nesting)),
                })
            }
        }
    }

    /// One rule for all parts if there is one, else a rule for each.
    fn orders(&mut self, parts: &[SumTree], nesting: usize) -> Option<Vec<Order>> {
        let largest = parts.iter().max_by_key(|part| part.terms())?;
        let common = self.order(largest, nesting);
        let fits = |part: &SumTree| common.tree(part.terms()).as_ref() == Some(part);
        if parts.iter().all(fits) {
            return Some(vec![common]);
        }
        if parts.len() > LISTED {
            return None;
        }
        let mut orders = Vec::with_capacity(parts.len());
        for part in parts {
            orders.push(if fits(part) {
                common.clone()
            } else {
                self.order(part, nesting)
            });
        }
        Some(orders)
    }
}

/// The rule of a tree that is no composition.
fn simple(tree: &SumTree) -> Option<Order> {
    let mut rules = vec![Order::SEQUENTIAL, Order::REVERSED];
    if tree.fan_out() == tree.terms() {
        rules.push(Order::AtOnce);
    }
    // The lowest addition above the first term shows how many terms are taken at a time.
    let lowest = tree.parent(0).map_or(0, |node| tree.size(node));
    rules.push(Order::Fused { width: lowest });
    for reversed in [false, true] {
        let sequential = |group| Order::Sequential { reversed, group };
        rules.extend([2, 4, 8, 16].map(sequential));
    }
    if tree.is_binary() && tree.terms() > 3 {
        rules.extend(
            [
                Pairing::Neighbours,
                Pairing::HalvesDown,
                Pairing::HalvesUp,
                Pairing::Far,
            ]
            .map(Order::Pairwise),
        );
    }
    let depth = tree.depth();
    rules.into_iter().find(|rule| {
        let sequential = matches!(rule, Order::Sequential { .. });
        (!sequential || depth + 1 == tree.terms()) && rule.tree(tree.terms()).as_ref() == Some(tree)
    })
}

/// A composition that a tree may be.
enum Candidate {
    Cut(Cut),
    Onto { head: usize },
    Halves { multiple: usize, blocks: Vec<usize> },
}

/// The nodes of a tree by the terms they sum.
struct Outline<'a> {
    tree: &'a SumTree,
    regular: HashMap<Progression, usize>,
}

impl Outline<'_> {
    fn of(tree: &SumTree) -> Outline<'_> {
        let regular = (0..tree.nodes()).filter_map(|node| Some((tree.progression(node)?, node)));
        let regular = regular.collect();
        Outline { tree, regular }
    }

    fn node(&self, first: usize, step: usize, count: usize) -> Option<usize> {
        let step = if count == 1 { 1 } else { step };
        let progression = Progression { first, step, count };
        self.regular.get(&progression).copied()
    }

    /// The nodes of the parts, if every part has one.
    fn nodes_of(&self, cut: &Cut) -> Option<Vec<usize>> {
        let terms: Vec<usize> = (0..self.tree.terms()).collect();
        let parts = cut.parts(&terms)?;
        parts.iter().map(|part| self.node_of(part)).collect()
    }

    /// The node that sums just these terms, ascending.
    fn node_of(&self, terms: &[usize]) -> Option<usize> {
        let (&first, &last) = (terms.first()?, terms.last()?);
        let step = terms.get(1).map_or(1, |second| second - first);
        if last - first == step * (terms.len() - 1) {
            return self.node(first, step, terms.len());
        }
        let tree = self.tree;
        let node = terms
            .iter()
            .fold(first, |node, &term| tree.join(node, term));
        (tree.size(node) == terms.len()).then_some(node)
    }

    /// Compositions whose parts are there.
    fn candidates(&self) -> Vec<Candidate> {
        let tree = self.tree;
        let (terms, root) = (tree.terms(), tree.root());
        let above_first: Vec<Progression> =
            std::iter::successors(Some(0), |&node| tree.parent(node))
                .filter(|&node| node != root)
                .filter_map(|node| tree.progression(node))
                .collect();

        let mut cuts = Vec::new();
        for part in &above_first {
            if part.count > 1 && part.step > 1 {
                cuts.push(Cut::Lanes(part.step));
                let rest = terms.checked_sub(part.step * part.count);
                if let Some(rest) = rest.filter(|&rest| rest > 0) {
                    let width = part.step;
                    cuts.push(Cut::RestAndLanes { rest, width });
                }
            } else if part.count > 1 {
                cuts.push(Cut::Runs(part.count));
            }
        }
        cuts.extend(self.lanes_then_rest());
        cuts.extend(self.head_then_lanes());
        cuts.extend(self.in_order(false));
        cuts.extend(self.in_order(true));
        cuts.extend(self.parts_of_root());
        cuts.retain(|cut| self.nodes_of(cut).is_some());
        cuts.dedup();

        let mut candidates: Vec<Candidate> = cuts.into_iter().map(Candidate::Cut).collect();
        candidates.extend(self.onto());
        candidates.extend(self.halves());
        candidates
    }

    /// Lanes of which the first goes on with the terms that are too few for another one of each.
    fn lanes_then_rest(&self) -> Vec<Cut> {
        let tree = self.tree;
        let above_second = std::iter::successors(Some(1), |&node| tree.parent(node));
        above_second
            .filter_map(|node| tree.progression(node))
            .filter(|part| part.first == 1 && part.step > 1)
            .filter_map(|part| {
                let (width, rest) = (part.step, tree.terms().checked_sub(part.step * part.count)?);
                (rest > 0 && rest < width).then_some(Cut::LanesThenRest { width, rest })
            })
            .collect()
    }

    /// Lanes of which the first begins with terms that are not dealt out.
    fn head_then_lanes(&self) -> Vec<Cut> {
        let tree = self.tree;
        // Of the last two terms one at least is in another lane than the first.
        let last = tree.terms().saturating_sub(2)..tree.terms();
        last.flat_map(|term| std::iter::successors(Some(term), |&node| tree.parent(node)))
            .filter_map(|node| tree.progression(node))
            .filter(|lane| lane.count > 1 && lane.step > 1)
            // That lane may be any of them.
            .flat_map(|lane| {
                let heads = (1..lane.step).filter_map(move |at| lane.first.checked_sub(at));
                heads.map(move |head| (head, lane.step))
            })
            .filter(|&(head, _)| head > 0)
            .map(|(head, width)| Cut::HeadThenLanes { head, width })
            .collect()
    }

    /// Parts of any lengths that are added in order, or backwards.
    fn in_order(&self, reversed: bool) -> Option<Cut> {
        let tree = self.tree;
        let mut lengths = Vec::new();
        let mut node = tree.root();
        while let &[p, q] = tree.parts(node) {
            // The side that the running sum is on has the first term, or, backwards, the last.
            let (sum, part) = if reversed { (q, p) } else { (p, q) };
            lengths.push(tree.size(part));
            node = sum;
        }
        if node >= tree.terms() {
            lengths.push(tree.size(node));
        } else {
            // The first part is begun by one term, and goes on as long as single terms follow.
            let single = lengths
                .iter()
                .rev()
                .take_while(|&&length| length == 1)
                .count();
            lengths.truncate(lengths.len() - single);
            lengths.push(single + 1);
        }
        if !reversed {
            lengths.reverse();
        }
        let some = (2..=LISTED).contains(&lengths.len());
        some.then_some(Cut::Lengths(lengths))
    }

    fn parts_of_root(&self) -> Option<Cut> {
        let parts = self.tree.parts(self.tree.root());
        let lengths: Vec<usize> = parts.iter().map(|&part| self.tree.size(part)).collect();
        let some = (2..=LISTED).contains(&lengths.len());
        some.then_some(Cut::Lengths(lengths))
    }

    /// The last terms, one by one, onto the sum of the others.
    fn onto(&self) -> Option<Candidate> {
        let (mut head, mut last) = (self.tree.root(), self.tree.terms());
        while let &[sum, term] = self.tree.parts(head)
            && term + 1 == last
        {
            (head, last) = (sum, term);
        }
        (head != self.tree.root()).then_some(Candidate::Onto { head })
    }

    /// Halves down to blocks, cut at multiples as numpy does (`pairwise_sum` in its `loops_utils.h`).
    fn halves(&self) -> Vec<Candidate> {
        let tree = self.tree;
        let candidate = |multiple: usize| {
            let (mut open, mut blocks) = (vec![tree.root()], Vec::new());
            while let Some(node) = open.pop() {
                let size = tree.size(node);
                let half = size / 2 - (size / 2) % multiple;
                let middle = tree.first(node) + half;
                match *tree.parts(node) {
                    [p, q]
                        if half > 0
                            && self.node(tree.first(node), 1, half) == Some(p)
                            && self.node(middle, 1, size - half) == Some(q) =>
                    {
                        open.extend([p, q]);
                    }
                    _ => blocks.push(node),
                }
            }
            (blocks.len() > 2).then_some(Candidate::Halves { multiple, blocks })
        };
        [1, 2, 4, 8, 16, 32]
            .into_iter()
            .filter_map(candidate)
            .collect()
    }
}
