//! Regular orders of addition: rules that make a tree for any number of terms.

use super::tree::SumTree;

/// A rule by which terms are added.
///
/// A rule is a generator: [`tree`](Order::tree) makes the tree of `n` terms from it. That is what keeps a
/// description true: whatever words are said of a tree come from a rule that makes exactly this tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Each term is added to the running sum.
    Sequential {
        /// From the last term to the first.
        reversed: bool,
        /// The running sum takes the terms in groups of this many, each group backwards; 1 for none.
        /// Dot-product instructions on pairs of 16-bit numbers take the odd one first.
        group: usize,
    },
    /// All terms in one addition.
    AtOnce,
    /// Additions of `width` terms and the running sum, in order; the first of `width` terms alone.
    Fused {
        /// The terms of an addition.
        width: usize,
    },
    /// Terms in pairs, sums in pairs, until one is left.
    Pairwise(Pairing),
    /// Halves are summed apart, then added; what has at most `block` terms is added by `within`.
    Halves {
        /// The first half is cut to a multiple of this many terms.
        multiple: usize,
        /// What is not halved any more.
        block: usize,
        /// How a block is added.
        within: Box<Order>,
    },
    /// Parts are summed apart, then their sums are added.
    Parts {
        /// How terms are divided into parts.
        cut: Cut,
        /// How the terms of each part are added: one rule for all parts, or one for each.
        within: Vec<Order>,
        /// How the sums of the parts are added.
        joined: Box<Order>,
    },
    /// The first terms make a sum; the others are added to it one after the other.
    Onto {
        /// How many terms come first.
        head: usize,
        /// How these are added.
        within: Box<Order>,
    },
    /// No rule: this tree.
    Irregular(SumTree),
}

/// Which pairs a pairwise sum makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// Neighbours first: term `2i` with `2i + 1`, and so on with their sums.
    Neighbours,
    /// Halves, the first of which is the smaller where they differ.
    HalvesDown,
    /// Halves, the first of which is the larger where they differ.
    HalvesUp,
    /// Far ones first: of `n` terms, term `i` with `i + n/2`, and so on with their sums.
    Far,
}

/// How terms are divided into parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Neighbouring terms, this many to a part; the last part may have fewer.
    Runs(usize),
    /// Neighbouring terms, in parts of these lengths.
    Lengths(Vec<usize>),
    /// Part `l` has the terms that leave the remainder `l` when divided by this.
    Lanes(usize),
    /// The last terms are the first part; the others are divided into lanes.
    RestAndLanes {
        /// How many terms are not in lanes.
        rest: usize,
        width: usize,
    },
    /// The terms are divided into lanes except for the last ones, which follow those of the first lane.
    LanesThenRest {
        width: usize,
        /// How many terms follow the first lane.
        rest: usize,
    },
    /// The first terms begin the first lane; the others are divided into lanes.
    HeadThenLanes {
        /// How many terms begin the first lane.
        head: usize,
        width: usize,
    },
}

impl Order {
    /// One term after the other, from the first to the last.
    pub const SEQUENTIAL: Order = Order::Sequential {
        reversed: false,
        group: 1,
    };

    /// One term after the other, from the last to the first.
    pub const REVERSED: Order = Order::Sequential {
        reversed: true,
        group: 1,
    };

    /// Runs of `length` terms, each added one after the other, and their sums added in order.
    pub fn runs(length: usize) -> Order {
        Order::Parts {
            cut: Cut::Runs(length),
            within: vec![Order::SEQUENTIAL],
            joined: Box::new(Order::SEQUENTIAL),
        }
    }

    /// `parts` equal runs, each added one after the other, and their sums added pairwise; of `terms`
    /// terms in all.
    pub fn split_k(terms: usize, parts: usize) -> Order {
        Order::Parts {
            cut: Cut::Runs(terms.div_ceil(parts.max(1)).max(1)),
            within: vec![Order::SEQUENTIAL],
            joined: Box::new(Order::Pairwise(Pairing::Neighbours)),
        }
    }

    /// `width` lanes, each added one after the other, and their sums added by `joined`.
    pub fn lanes(width: usize, joined: Order) -> Order {
        Order::Parts {
            cut: Cut::Lanes(width),
            within: vec![Order::SEQUENTIAL],
            joined: Box::new(joined),
        }
    }

    /// The tree of `terms` terms; `None` where the rule does not say (no terms, lengths that do not
    /// add up, a tree of another size).
    pub fn tree(&self, terms: usize) -> Option<SumTree> {
        let mut growth = Growth {
            terms,
            additions: Vec::new(),
        };
        let leaves: Vec<usize> = (0..terms).collect();
        let total = growth.grow(self, &leaves)?;
        SumTree::new(terms, growth.additions, total).ok()
    }
}

struct Growth {
    terms: usize,
    additions: Vec<Vec<usize>>,
}

impl Growth {
    fn add(&mut self, parts: Vec<usize>) -> usize {
        if let [only] = parts[..] {
            return only;
        }
        self.additions.push(parts);
        self.terms + self.additions.len() - 1
    }

    fn fold(&mut self, nodes: impl IntoIterator<Item = usize>) -> Option<usize> {
        nodes
            .into_iter()
            .reduce(|sum, node| self.add(vec![sum, node]))
    }

    /// Adds some nodes as a rule adds as many terms; the node of their sum.
    fn grow(&mut self, order: &Order, nodes: &[usize]) -> Option<usize> {
        if let [only] = *nodes {
            return Some(only);
        }
        if nodes.is_empty() {
            return None;
        }
        match order {
            Order::Sequential { reversed, group } => {
                let mut sequence: Vec<usize> = nodes.to_vec();
                if *reversed {
                    sequence.reverse();
                }
                for group in sequence.chunks_mut((*group).max(1)) {
                    // `reversed` with a group of one is plain, and so is a group of one in any case.
                    group.reverse();
                }
                self.fold(sequence)
            }
            Order::AtOnce => Some(self.add(nodes.to_vec())),
            Order::Fused { width } => {
                let mut sum = None;
                for terms in nodes.chunks((*width).max(1)) {
                    let parts = sum.into_iter().chain(terms.iter().copied());
                    sum = Some(self.add(parts.collect()));
                }
                sum
            }
            Order::Pairwise(pairing) => self.pairwise(*pairing, nodes),
            Order::Halves {
                multiple,
                block,
                within,
            } => self.halves(*multiple, *block, within, nodes),
            Order::Parts {
                cut,
                within,
                joined,
            } => {
                let parts = cut.parts(nodes)?;
                if within.len() != 1 && within.len() != parts.len() {
                    return None;
                }
                let rules = within.iter().cycle();
                let sums: Option<Vec<usize>> = (parts.iter().zip(rules))
                    .map(|(part, rule)| self.grow(rule, part))
                    .collect();
                self.grow(joined, &sums?)
            }
            Order::Onto { head, within } => {
                let (first, others) = nodes.split_at_checked(*head)?;
                let head = self.grow(within, first)?;
                self.fold(std::iter::once(head).chain(others.iter().copied()))
            }
            Order::Irregular(tree) => {
                if tree.terms() != nodes.len() {
                    return None;
                }
                let mut made = nodes.to_vec();
                for node in tree.terms()..tree.nodes() {
                    let parts = tree.parts(node).iter().map(|&part| made[part]).collect();
                    made.push(self.add(parts));
                }
                made.last().copied()
            }
        }
    }

    fn pairwise(&mut self, pairing: Pairing, nodes: &[usize]) -> Option<usize> {
        let half = match pairing {
            Pairing::Neighbours => {
                let mut sums = nodes.to_vec();
                while sums.len() > 1 {
                    sums = sums.chunks(2).map(|pair| self.add(pair.to_vec())).collect();
                }
                return sums.first().copied();
            }
            Pairing::Far => {
                let mut sums = nodes.to_vec();
                while sums.len() > 1 {
                    let far = sums.split_off(sums.len().div_ceil(2));
                    for (near, far) in sums.iter_mut().zip(far) {
                        *near = self.add(vec![*near, far]);
                    }
                }
                return sums.first().copied();
            }
            Pairing::HalvesDown => nodes.len() / 2,
            Pairing::HalvesUp => nodes.len().div_ceil(2),
        };
        if let [only] = *nodes {
            return Some(only);
        }
        let (first, second) = nodes.split_at_checked(half)?;
        let parts = vec![
            self.pairwise(pairing, first)?,
            self.pairwise(pairing, second)?,
        ];
        Some(self.add(parts))
    }

    fn halves(
        &mut self,
        multiple: usize,
        block: usize,
        within: &Order,
        nodes: &[usize],
    ) -> Option<usize> {
        let half = nodes.len() / 2;
        let half = half - half.checked_rem(multiple)?;
        if nodes.len() <= block || half == 0 {
            return self.grow(within, nodes);
        }
        let (first, second) = nodes.split_at(half);
        let parts = vec![
            self.halves(multiple, block, within, first)?,
            self.halves(multiple, block, within, second)?,
        ];
        Some(self.add(parts))
    }
}

impl Cut {
    /// The parts, none of them empty; `None` where the cut does not fit.
    pub(crate) fn parts<T: Copy>(&self, nodes: &[T]) -> Option<Vec<Vec<T>>> {
        let lanes = |nodes: &[T], width: usize| {
            (0..width.min(nodes.len()))
                .map(|lane| nodes.iter().skip(lane).step_by(width).copied().collect())
                .collect::<Vec<Vec<T>>>()
        };
        Some(match *self {
            Cut::Runs(length) => nodes.chunks(length.max(1)).map(<[T]>::to_vec).collect(),
            Cut::Lanes(width) => lanes(nodes, width.max(1)),
            Cut::Lengths(ref lengths) => {
                let mut rest = nodes;
                let mut parts = Vec::with_capacity(lengths.len());
                for &length in lengths {
                    let (part, others) = rest.split_at_checked(length).filter(|_| length > 0)?;
                    parts.push(part.to_vec());
                    rest = others;
                }
                if !rest.is_empty() {
                    return None;
                }
                parts
            }
            Cut::RestAndLanes { rest, width } => {
                let head = nodes.len().checked_sub(rest).filter(|_| rest > 0)?;
                let mut parts = vec![nodes[head..].to_vec()];
                parts.extend(lanes(&nodes[..head], width.max(1)));
                parts
            }
            Cut::LanesThenRest { width, rest } => {
                let head = nodes.len().checked_sub(rest)?;
                let mut parts = lanes(&nodes[..head], width.max(1));
                parts.first_mut()?.extend(&nodes[head..]);
                parts
            }
            Cut::HeadThenLanes { head, width } => {
                let (head, others) = nodes.split_at_checked(head)?;
                let mut parts = lanes(others, width.max(1));
                parts.first_mut()?.splice(0..0, head.iter().copied());
                parts
            }
        })
    }
}
