//! What a recovery finds.

use std::ops::Range;

use serde::Serialize;

use crate::reveal::tree::SumTree;

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Pairs of terms whose join was measured to recover the tree of the most places: the number of
    /// probes that the paper counts.
    pub pairs: usize,
    /// Probes sent to find all trees, without repetitions. More than `pairs` where there are several
    /// trees, and where units are counted in blocks.
    pub probes: usize,
    /// Launches, with repetitions, survey and checks.
    pub launches: usize,
    /// Levels of the recursion.
    pub levels: usize,
}

/// Places and slots that add in one order: all of `slots` at each of `places`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Ranges of places, ascending.
    pub places: Vec<Range<usize>>,
    /// Ranges of slots, ascending.
    pub slots: Vec<Range<usize>>,
}

/// A tree, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOrder {
    pub tree: SumTree,
    /// Where sums are added so.
    pub regions: Vec<Region>,
    /// How many sums of a launch these are.
    pub sums: usize,
}

/// How an operation adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Every order found, that of the most sums first. Never empty.
    pub orders: Vec<FoundOrder>,
    pub statistics: Statistics,
}

impl Recovery {
    /// Which of the orders the sum at a place and slot has.
    pub fn order_at(&self, place: usize, slot: usize) -> Option<&FoundOrder> {
        let within = |ranges: &[Range<usize>], at| ranges.iter().any(|range| range.contains(&at));
        self.orders.iter().find(|order| {
            (order.regions.iter())
                .any(|region| within(&region.places, place) && within(&region.slots, slot))
        })
    }

    /// Whether all sums of the launch are added in one order.
    pub fn is_uniform(&self) -> bool {
        self.orders.len() == 1
    }
}
