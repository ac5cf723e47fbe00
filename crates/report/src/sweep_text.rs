//! A module under many shapes of a batch, as text.

use std::fmt::Write;

use concord_lab::sweep::{Shape, Sweep};

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
    let mut out = format!("{} of {}\n", sweep.module, sweep.subject);
    let given = match sweep.held.as_slice() {
        [] => "It reads nothing but tokens".to_owned(),
        held => format!(
            "For all shapes the same: what it reads of {}",
            held.join(", ")
        ),
    };
    let parts = match sweep.computing.as_slice() {
        [only] if *only == sweep.module => String::new(),
        [only] => format!(". Run with what is inside it, {only}"),
        all => format!(
            ". Run with what is inside it, {} modules that compute",
            all.len()
        ),
    };
    let _ = writeln!(out, "{given}{parts}.\n");
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
    let lost = |shape: &&Shape| shape.is_same() && shape.begins_at.is_some();
    let lost = sweep.shapes.iter().filter(lost).count();
    out.push_str(&match different {
        0 if lost == 0 => "The bits do not depend on the shape of the batch.\n".to_owned(),
        n => format!("{n} of {} shapes have other bits.\n", sweep.shapes.len()),
    });
    if lost > 0 {
        let _ = writeln!(
            out,
            "{lost} of {} have other bits inside, which are rounded away before they are out.",
            sweep.shapes.len()
        );
    }
    if sweep.computing.len() > 1 {
        let begin = |path: &String| {
            let begins = |shape: &&Shape| shape.begins_at.as_ref() == Some(path);
            sweep.shapes.iter().filter(begins).count()
        };
        for (path, shapes) in sweep.computing.iter().map(|path| (path, begin(path))) {
            if shapes > 0 {
                let _ = writeln!(
                    out,
                    "Of {shapes} shapes the first other bits are at {path}."
                );
            }
        }
    }
    out
}
