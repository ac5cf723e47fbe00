//! Results for people and for programs: terminal tables and JSON, one file for each output.
//!
//! Everything here is a function from a result to a text. Nothing prints, nothing asks whether it writes
//! to a terminal: the caller passes a [`Style`] and does the printing, so every output can be tested as a
//! string.
//!
//! Tables are drawn by a small [`Table`] of our own. Libraries for tables bring borders, wrapping,
//! and a look at the terminal and the environment; what is needed is columns that align, whatever the
//! script of the text in them (which is what `unicode-width` knows), and that one column gives way when
//! the terminal is narrow. Colour repeats what the words say and never says more.

mod diff_table;
mod diff_values;
mod explanation;
mod figures;
mod findings;
mod formula_text;
mod hits;
mod json;
mod matrix_table;
mod metrics;
mod passages;
mod printable;
mod revealed;
mod search_notices;
mod style;
mod sweep_text;
mod table;
mod tree_sketch;
mod tree_svg;
mod tree_text;

pub use diff_table::diff_table;
pub use explanation::{cause_lines, explanation_json, explanation_text, issue_text, sentence};
pub use findings::findings_table;
pub use formula_text::formula_text;
pub use hits::{Hit, hits_table};
pub use json::json;
pub use matrix_table::{bisection_sentence, matrix_table};
pub use metrics::metrics_table;
pub use passages::{FoundPassage, WordMatch, passages_listing};
pub use printable::{escaped, message, printable, screen};
pub use revealed::revealed_text;
pub use search_notices::{Searched, exact_search, search_notices};
pub use style::{Style, Tone};
pub use sweep_text::sweep_text;
pub use table::{Align, Cell, Column, Table};
pub use tree_svg::{TreePanel, tree_svg};
pub use tree_text::tree_text;
