//! Orders of addition are recovered from outputs alone.

#![allow(clippy::unwrap_used)]

mod native;
mod recovering;
mod refusing;
mod simulated;
mod wording;
