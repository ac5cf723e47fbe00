//! Pairs of runs that differ for a known reason. For each a table says what is found and what is not named; and each
//! clause of what is printed is computed once more, from other things than it was made from.

#![allow(clippy::unwrap_used)]

mod after_encoder;
#[cfg(unix)]
mod altering;
mod ask;
#[cfg(unix)]
mod batches;
mod clauses;
mod dimensions;
mod facts;
mod false_clauses;
mod golden;
mod in_encoder;
mod inputs;
mod lines;
mod masks;
#[cfg(unix)]
mod operations_alone;
#[cfg(unix)]
mod padded;
mod pairs;
mod reasons;
mod recorded;
mod rules;
mod several;
mod shapes;
#[cfg(unix)]
mod stand_in;
mod tables;
mod text;
mod told;
mod ways;
