//! What the program does, seen from outside: arguments and files in, files, text and exit codes out.
//!
//! One binary of tests, so that what they share is compiled once and used by all.

#![allow(clippy::unwrap_used)]

mod agent;
mod crash;
mod damage;
mod demo;
mod determinism;
mod diff;
mod diff_referee;
mod embedded;
mod env;
mod folder;
mod full_disk;
mod golden;
mod help;
mod matrix;
mod measures;
mod outputs;
mod placeless;
mod program;
mod python;
mod record;
mod referee;
mod reveal;
mod search;
mod streams;
mod taps;
mod torch;
mod wrong_checkpoints;
mod wrong_collections;
mod wrong_options;
