//! Pairs of runs that differ for a known reason: it is found, and nothing else is named.

#![allow(clippy::unwrap_used)]

mod after_encoder;
mod ask;
mod in_encoder;
mod inputs;
mod recorded;
