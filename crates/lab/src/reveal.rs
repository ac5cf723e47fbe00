//! The order in which an operation really adds, found from its outputs alone.
//!
//! An operation that adds `n` terms ([`Summation`]) is asked [probes](Probe): sums of one huge number, its
//! negative, and units. What comes out says how many terms lie under the addition at which the two meet;
//! enough such answers determine the tree of additions. [`recover()`] asks them and gives a [`SumTree`] for
//! every place of the output, [`label()`] puts a tree into words, and [`replay()`] adds ordinary numbers in
//! the order of the tree, to see whether the operation's bits come out. [`LinearProbes`] makes an operation
//! of anything that multiplies matrices: a kernel of our own, or another program's.
//!
//! The method is FPRev (USENIX ATC'25, arXiv 2411.00442). The alternative, reading the kernel that was
//! selected and its source, tells more where there is source, and nothing about the libraries that most
//! builds use.
//!
//! What cannot be seen: an initial zero, a bias (probe without one; [`replay()`] tells where it joins), terms
//! that pad a sum, and whether products are fused (which [`replay()`] tells again). Compensated sums, and
//! sums that pass over zeros, are no plain sums; they are reported as such where they give answers that no
//! tree gives.

mod find_order;
mod label;
mod linear;
mod mask;
mod order;
mod probe;
pub(crate) mod random;
mod recover;
mod replay;
mod subject;
mod tree;
mod vectors;

pub use label::label;
pub use linear::{LinearProbes, LinearShape, LinearTrial, Masked, Operands};
pub use mask::{MaskError, Masks};
pub use order::{Cut, Order, Pairing};
pub use probe::{Probe, Summation};
pub use recover::{
    FoundOrder, RecoverError, RecoverOptions, Recovery, Region, Statistics, recover,
};
pub use replay::{Arithmetic, BiasPlace, MultiplyAdd, Replay, ReplayError, Sample, replay};
pub use subject::{
    Adding, OrderSummary, RevealError, Revealed, find_linear_orders, reveal_linear, reveal_sum,
};
pub use tree::{Progression, SumTree, TreeError, TreeSummary};
pub use vectors::{SumProbes, SumTrial};
