//! A module under many shapes of a batch, as text.

use std::fmt::Write;

use concord_lab::sweep::Sweep;

use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// The shapes one by one, and below them by their number of rows.
pub fn sweep_text(sweep: &Sweep, style: &Style) -> String {
    let mut table = Table::new([
        Column::right("batch"),
        Column::right("tokens"),
        Column::right("rows"),
        Column::left(&format!("as in a batch of {}", sweep.reference)),
        Column::right("passages"),
    ]);
    for shape in &sweep.shapes {
        let same = if shape.is_same() {
            Cell::toned(Tone::Good, "True")
        } else {
            Cell::toned(Tone::Bad, "False")
        };
        table.row([
            shape.batch.to_string().into(),
            shape.tokens.to_string().into(),
            shape.rows.to_string().into(),
            same,
            format!("{} of {}", shape.same, shape.batch).into(),
        ]);
    }
    let mut out = format!("{} of {}\n\n", sweep.module, sweep.subject);
    out.push_str(&table.render(style));
    out.push('\n');
    for range in sweep.ranges() {
        let rows = if range.from == range.to {
            format!("{} rows", range.from)
        } else {
            format!("{} to {} rows", range.from, range.to)
        };
        let answer = match range.same {
            Some(true) => "the bits of the largest batch",
            Some(false) => "other bits",
            None => "it depends on more than the number of rows",
        };
        let _ = writeln!(out, "{rows}: {answer}");
    }
    let different = sweep.shapes.iter().filter(|shape| !shape.is_same()).count();
    out.push_str(&match different {
        0 => "The bits do not depend on the shape of the batch.\n".to_owned(),
        n => format!("{n} of {} shapes have other bits.\n", sweep.shapes.len()),
    });
    out
}
