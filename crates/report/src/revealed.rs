//! The order in which an operation adds, as text.

use std::fmt::Write;
use std::ops::Range;

use concord_lab::reveal::{FoundOrder, Region, Replay, Revealed, label};

use crate::figures::{count, several};
use crate::style::{Style, Tone};
use crate::tree_text::tree_text;

/// Each order with where it was found, whether it gives the operation's bits, and the tree.
pub fn revealed_text(revealed: &Revealed, style: &Style) -> String {
    let mut out = style.paint(
        Tone::Strong,
        &format!("{}: {}\n", revealed.subject, revealed.operation),
    );
    for (order, replay) in revealed.recovery.orders.iter().zip(&revealed.replays) {
        let _ = write!(out, "\n{}\n", label(&order.tree));
        if !revealed.recovery.is_uniform() {
            let _ = writeln!(
                out,
                "  in {}: {}",
                several(order.sums, "sum"),
                places(order)
            );
        }
        let _ = writeln!(out, "  {}", replayed(replay.as_ref()));
        let _ = writeln!(out, "  {}\n", order.tree.hash());
        for line in tree_text(&order.tree).lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
    let statistics = &revealed.recovery.statistics;
    let _ = writeln!(
        out,
        "\n{} pairs of terms measured, {} probes in {}.",
        count(statistics.pairs),
        count(statistics.probes),
        if statistics.launches == 1 {
            "1 launch".to_owned()
        } else {
            format!("{} launches", count(statistics.launches))
        }
    );
    out
}

fn replayed(replay: Option<&Replay>) -> String {
    match replay {
        None => "not replayed: how additions of more than two terms round is not known".to_owned(),
        Some(replay) if replay.reproduced == replay.compared => format!(
            "added in this order, {} of {} results on ordinary numbers have the operation's bits",
            count(replay.reproduced),
            count(replay.compared)
        ),
        Some(replay) => format!(
            "added in this order, only {} of {} results on ordinary numbers have the operation's bits",
            count(replay.reproduced),
            count(replay.compared)
        ),
    }
}

/// The rows and columns in which sums are added in an order, at most a few of them.
fn places(order: &FoundOrder) -> String {
    const SHOWN: usize = 4;
    let regions = order.regions.iter().take(SHOWN).map(region);
    let mut text = regions.collect::<Vec<_>>().join("; ");
    if order.regions.len() > SHOWN {
        text.push_str("; …");
    }
    text
}

fn region(region: &Region) -> String {
    format!(
        "rows {}, columns {}",
        ranges(&region.places),
        ranges(&region.slots)
    )
}

fn ranges(ranges: &[Range<usize>]) -> String {
    const SHOWN: usize = 6;
    let shown = ranges.iter().take(SHOWN).map(|range| match range.len() {
        1 => range.start.to_string(),
        _ => format!("{} to {}", range.start, range.end.saturating_sub(1)),
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if ranges.len() > SHOWN {
        text.push_str(", …");
    }
    text
}
