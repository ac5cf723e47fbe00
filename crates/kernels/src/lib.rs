//! Numeric kernels whose order of operations is written down.
//!
//! Floating-point addition is not associative, so a sum is defined only by the order in which it is
//! taken. Libraries choose that order by the shape of the call, the machine and the number of threads;
//! that is why an index built today differs from the one built yesterday. Here the order is part of each
//! kernel's documentation, under the heading *Order of operations*, and nothing else may influence a
//! result: not the batch, not the neighbours, not the padding, not the thread, not the instruction set.
//!
//! The alternative, recording which library build ran and demanding the same one again, was not taken:
//! it makes an index reproducible on one machine and unexplainable on the next.
//!
//! How it is done:
//! * one body per kernel over sixteen virtual lanes (`lanes.rs`), compiled once per instruction set
//!   (`isa.rs`); callers say by a [`compute::Compute`] where to run, and see no instruction;
//! * outputs are computed side by side, the terms of one output one after another, so that wider
//!   registers and larger tiles change what runs in parallel and never the order of a sum;
//! * short reductions share one order, [`reduction::lane_reduce`];
//! * [`elementary`] functions are the project's own.
//!
//! Kernels check shapes with assertions: a wrong shape here is a defect of the caller, never of a
//! user's file. Checkpoints and indexes are checked where they are read.

#![allow(
    clippy::needless_range_loop,
    reason = "bodies are plain loops over lanes and rows: closures would be functions without the machine's \
              instructions, and whether they are inlined is not certain"
)]

pub mod approximate;
pub mod attention;
pub mod bf16;
pub mod buckets;
pub mod ceilings;
pub mod closest;
pub mod compute;
pub mod elementary;
pub mod exponential;
pub mod gelu;
pub mod gemm;
pub mod int8;
mod isa;
mod lanes;
pub mod layer_norm;
mod levels;
pub mod library;
pub mod linear;
mod machine;
pub mod maxsim;
pub mod nearest;
pub mod normalize;
pub mod reduction;
pub mod residual;
pub mod rounding;
mod screen;
mod tile;

/// The version of the numeric contract: the orders of operations documented in this crate together.
/// Raised whenever a change alters bits on purpose; every index records it.
pub const CONTRACT_VERSION: u32 = 2;
