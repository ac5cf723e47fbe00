//! What the program does, seen from outside: arguments and files in, files, text and exit codes out.
//!
//! One binary of tests, so that what they share is compiled once and used by all.

#![allow(clippy::unwrap_used)]

mod agent;
mod changes;
mod crash;
mod cut_texts;
mod damage;
mod damaged_runs;
mod demo;
mod determinism;
mod diff;
mod diff_files;
mod diff_referee;
mod embedded;
mod embeddings;
mod env;
mod explain_sides;
mod folder;
mod full_disk;
mod golden;
mod help;
mod index_folders;
mod interruptions;
mod matrix;
mod measures;
mod metadata;
mod outputs;
mod placeless;
mod program;
mod python;
mod record;
mod referee;
mod reveal;
mod search;
mod sides;
mod streams;
mod sweep;
mod taps;
mod terminal;
mod torch;
mod without_effect;
mod wrong_checkpoints;
mod wrong_collections;
mod wrong_options;
