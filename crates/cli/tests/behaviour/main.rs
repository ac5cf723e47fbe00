//! What the program does, seen from outside: arguments and files in, files, text and exit codes out.
//!
//! One binary of tests, so that what they share is compiled once and used by all.

#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod demo;
mod determinism;
mod diff;
mod embedded;
mod folder;
mod full_disk;
mod golden;
mod help;
mod outputs;
mod placeless;
mod program;
mod record;
mod search;
mod streams;
mod taps;
mod wrong_checkpoints;
mod wrong_collections;
mod wrong_options;
