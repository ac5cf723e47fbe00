//! Summation trees as a picture.

use std::fmt::Write;

use concord_lab::reveal::SumTree;

use crate::figures::count;
use crate::tree_sketch::{Block, Manner, Piece, Sketch};

/// A tree and what is written above it.
#[derive(Clone, Copy, Debug)]
pub struct TreePanel<'a> {
    /// Whose order it is: "torch 1.13.1".
    pub title: &'a str,
    /// What there is to say of it: its label, the rows it was found in.
    pub caption: &'a str,
    pub tree: &'a SumTree,
}

/// The most blocks of a panel.
const BLOCKS: usize = 24;

/// Pixels. The type is that of `docs/diff.svg`.
const SIZE: f64 = 13.0;
const LINE: f64 = 19.0;
const MARGIN: f64 = 16.0;
const PANEL: f64 = 600.0;
const BETWEEN: f64 = 40.0;
const BAR: f64 = 36.0;
const GAP: f64 = 4.0;
const MIN_BAR: f64 = 14.0;
const LEVEL: f64 = 20.0;
const ROOT: f64 = 14.0;
/// The advance of a character of the monospaced type, as a part of its size.
const ADVANCE: f64 = 0.6022;
const SMALL: f64 = 11.0;

/// The trees side by side: a whole SVG document, for dark and light surroundings.
///
/// A bar is a part of the terms that is added in one simple manner, as wide as it has terms; a dot is an
/// addition. Bars of a tree that the other one does not have are coloured.
pub fn tree_svg(panels: &[TreePanel<'_>]) -> String {
    let sketches: Vec<Sketch> = (panels.iter())
        .map(|panel| Sketch::of(panel.tree, BLOCKS))
        .collect();
    let captions: Vec<Vec<String>> = (panels.iter())
        .map(|panel| wrapped(panel.caption, (PANEL / (SMALL * ADVANCE)) as usize))
        .collect();
    let heading = captions.iter().map(Vec::len).max().unwrap_or(0) as f64 * LINE + LINE;
    let levels = sketches.iter().map(|sketch| level(&sketch.root)).max();
    let branches = levels.unwrap_or(0) as f64 * LEVEL + ROOT;
    let drawn: Vec<Drawing> = sketches.iter().map(Drawing::of).collect();
    let names = drawn
        .iter()
        .map(|drawing| drawing.names)
        .fold(0.0, f64::max);
    let legend = legend(&sketches);
    let lines = legend.len() + usize::from(panels.len() > 1);

    let top = MARGIN + heading + 2.0 * GAP;
    let bars = top + branches;
    let below = bars + BAR + names + LINE;
    let height = below + lines as f64 * LINE + MARGIN;
    let across = panels.len().max(1) as f64;
    let width = across * PANEL + (across - 1.0) * BETWEEN + 2.0 * MARGIN;

    let mut svg = String::new();
    open(&mut svg, width, height, panels);
    for (at, (panel, sketch)) in panels.iter().zip(&sketches).enumerate() {
        let left = MARGIN + at as f64 * (PANEL + BETWEEN);
        text(&mut svg, left, MARGIN + SIZE, "title", panel.title);
        for (line, caption) in captions[at].iter().enumerate() {
            let baseline = MARGIN + SIZE + (line + 1) as f64 * LINE;
            text(&mut svg, left, baseline, "small", caption);
        }
        let others = (sketches.iter().enumerate()).filter(|(other, _)| *other != at);
        let others: Vec<&Sketch> = others.map(|(_, sketch)| sketch).collect();
        drawn[at].draw(&mut svg, left, bars, sketch, &others);
    }
    let place = |line: usize| below + line as f64 * LINE + SIZE;
    for (line, (manner, words)) in legend.iter().enumerate() {
        let sample = [MARGIN, place(line) - SMALL, 28.0, SIZE];
        bar(&mut svg, sample, Some(*manner), "bar");
        text(&mut svg, MARGIN + 36.0, place(line), "small", words);
    }
    if panels.len() > 1 {
        let baseline = place(legend.len());
        let words = "a part that the other one does not have";
        bar(
            &mut svg,
            [MARGIN, baseline - SMALL, 28.0, SIZE],
            None,
            "own",
        );
        text(&mut svg, MARGIN + 36.0, baseline, "small", words);
    }
    svg.push_str("</g></svg>\n");
    svg
}

fn open(svg: &mut String, width: f64, height: f64, panels: &[TreePanel<'_>]) {
    let titles: Vec<&str> = panels.iter().map(|panel| panel.title).collect();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\
         <title>Order of additions: {}</title>\
         <style>\
         .paper{{fill:#ffffff}}.ink{{fill:#24292f}}.title{{fill:#24292f;font-weight:bold}}\
         .small{{fill:#57606a;font-size:{SMALL}px}}.count{{fill:#24292f;font-size:{SMALL}px}}\
         .line{{stroke:#57606a;fill:none}}.dot{{fill:#1f5fbf}}.mark{{stroke:#57606a;fill:none}}\
         .bar{{fill:#d5e3f7;stroke:#1f5fbf}}.own{{fill:#fbe3cd;stroke:#b25a0c}}\
         @media (prefers-color-scheme:dark){{\
         .paper{{fill:#16181d}}.ink{{fill:#d6d9df}}.title{{fill:#8ab4f8}}\
         .small{{fill:#a5abb5}}.count{{fill:#d6d9df}}\
         .line{{stroke:#a5abb5}}.dot{{fill:#8ab4f8}}.mark{{stroke:#a5abb5}}\
         .bar{{fill:#24344d;stroke:#8ab4f8}}.own{{fill:#4a331f;stroke:#f0a35e}}}}\
         </style>\
         <rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"6\"/>\
         <g font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"{SIZE}\">",
        escaped(&titles.join(" and "))
    );
    svg.push('\n');
}

/// Where the bars of a panel stand, and how deep their names reach below them.
struct Drawing {
    /// Left edge and width.
    bars: Vec<(f64, f64)>,
    names: f64,
    /// Names stand upright where they would run into each other.
    upright: bool,
}

impl Drawing {
    fn of(sketch: &Sketch) -> Drawing {
        let blocks = &sketch.blocks;
        let room = PANEL - GAP * (blocks.len() - 1) as f64;
        let terms: usize = blocks.iter().map(|block| block.terms.count()).sum();
        let share = |block: &Block| room * block.terms.count() as f64 / terms as f64;
        // What the narrow ones are given too much, the wide ones lack in proportion.
        let narrow = blocks.iter().filter(|block| share(block) < MIN_BAR);
        let (count, taken) =
            narrow.fold((0.0, 0.0), |(n, sum), block| (n + 1.0, sum + share(block)));
        let shrunk = if taken < room {
            (room - count * MIN_BAR) / (room - taken)
        } else {
            1.0
        };
        let mut left = 0.0;
        let mut bars = Vec::with_capacity(blocks.len());
        for block in blocks {
            let width = match share(block) {
                narrow if narrow < MIN_BAR => MIN_BAR,
                wide => wide * shrunk,
            };
            bars.push((left, width));
            left += width + GAP;
        }
        let length = |block: &Block| wide(&block.terms.words());
        let upright = (blocks.iter().zip(&bars)).any(|(block, (_, width))| length(block) > *width);
        let longest = blocks.iter().map(length).fold(0.0, f64::max);
        Drawing {
            bars,
            names: if upright { longest + GAP } else { LINE },
            upright,
        }
    }

    fn draw(&self, svg: &mut String, left: f64, y: f64, sketch: &Sketch, others: &[&Sketch]) {
        for (block, &(at, width)) in sketch.blocks.iter().zip(&self.bars) {
            let x = left + at;
            let shared =
                (others.iter()).all(|other| other.blocks.contains(block) && is_whole(block));
            bar(
                svg,
                [x, y, width, BAR],
                Some(block.manner),
                if shared { "bar" } else { "own" },
            );
            let terms = count(block.terms.count());
            let middle = x + width / 2.0;
            if wide(&terms) <= width {
                centred(svg, middle, y + BAR - 6.0, "count", &terms);
            }
            let name = block.terms.words();
            if self.upright {
                let (x, y) = (middle + SMALL / 3.0, y + BAR + GAP);
                let _ = writeln!(
                    svg,
                    "<text class=\"small\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\" \
                     text-anchor=\"end\">{}</text>",
                    escaped(&name)
                );
            } else {
                centred(svg, middle, y + BAR + LINE - GAP, "small", &name);
            }
        }
        self.branches(svg, left, y, &sketch.root);
        let (x, _) = self.top(left, y, &sketch.root);
        let high = y - level(&sketch.root) as f64 * LEVEL;
        path(
            svg,
            "line",
            &format!("M{x:.1} {high:.1}V{:.1}", high - ROOT),
        );
    }

    /// Where the line upwards from a piece begins.
    fn top(&self, left: f64, y: f64, piece: &Piece) -> (f64, f64) {
        match piece {
            Piece::Block(block) => {
                let (at, width) = self.bars[*block];
                (left + at + width / 2.0, y)
            }
            Piece::Joint(parts) => {
                let tops = parts.iter().map(|part| self.top(left, y, part).0);
                let (least, most) =
                    tops.fold((f64::MAX, f64::MIN), |(l, m), x| (l.min(x), m.max(x)));
                ((least + most) / 2.0, y - level(piece) as f64 * LEVEL)
            }
        }
    }

    fn branches(&self, svg: &mut String, left: f64, y: f64, piece: &Piece) {
        let Piece::Joint(parts) = piece else {
            return;
        };
        let (x, high) = self.top(left, y, piece);
        for part in parts {
            let (from, low) = self.top(left, y, part);
            path(
                svg,
                "line",
                &format!("M{from:.1} {low:.1}V{high:.1}H{x:.1}"),
            );
            self.branches(svg, left, y, part);
        }
        let _ = writeln!(
            svg,
            "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{high:.1}\" r=\"3.5\"/>"
        );
        if parts.len() > 2 {
            text(svg, x + 7.0, high - 4.0, "small", &parts.len().to_string());
        }
    }
}

/// Whether a block of equal terms and manner is the same tree.
fn is_whole(block: &Block) -> bool {
    !matches!(
        block.manner,
        Manner::Disorderly | Manner::Balanced | Manner::Other { .. }
    )
}

/// How many additions of the sketch are upon one another.
fn level(piece: &Piece) -> usize {
    match piece {
        Piece::Block(_) => 0,
        Piece::Joint(parts) => 1 + parts.iter().map(level).max().unwrap_or(0),
    }
}

/// A bar with a mark in it that says how its terms are added.
fn bar(svg: &mut String, [x, y, width, height]: [f64; 4], manner: Option<Manner>, class: &str) {
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
    );
    let Some(manner) = manner else {
        return;
    };
    // The mark is in the upper part, the number of terms below it.
    let (left, right) = (x + 3.0, x + width - 3.0);
    let (high, low) = (y + 3.0, y + (height / 2.0).max(SIZE - 3.0));
    let (middle, centre) = ((left + right) / 2.0, (high + low) / 2.0);
    let mark = match manner {
        Manner::Single => format!("M{middle:.1} {low:.1}V{high:.1}"),
        Manner::Chain => format!("M{left:.1} {low:.1}L{right:.1} {high:.1}"),
        Manner::Backwards => format!("M{right:.1} {low:.1}L{left:.1} {high:.1}"),
        Manner::Disorderly => {
            let step = (right - left) / 4.0;
            (1..=4).fold(format!("M{left:.1} {low:.1}"), |mark, at| {
                let y = if at % 2 == 0 { low } else { high };
                format!("{mark}L{:.1} {y:.1}", left + step * f64::from(at))
            })
        }
        Manner::AtOnce => format!("M{left:.1} {high:.1}H{right:.1}M{middle:.1} {high:.1}V{low:.1}"),
        Manner::Fused { .. } => {
            let (run, rise) = ((right - left) / 4.0, (low - high) / 4.0);
            (0..4).fold(format!("M{left:.1} {low:.1}"), |mark, _| {
                format!("{mark}h{run:.1}v{:.1}", -rise)
            })
        }
        Manner::Runs { .. } => {
            let run = (right - left) / 3.0;
            (0..3).fold(String::new(), |mark, at| {
                let from = left + run * f64::from(at);
                format!("{mark}M{from:.1} {low:.1}L{:.1} {high:.1}", from + run)
            })
        }
        Manner::Balanced => {
            format!("M{left:.1} {low:.1}L{middle:.1} {high:.1}L{right:.1} {low:.1}")
        }
        Manner::Other { .. } => format!("M{left:.1} {centre:.1}H{right:.1}"),
    };
    path(svg, "mark", &mark);
}

/// The marks in use, each once, and what they mean.
fn legend(sketches: &[Sketch]) -> Vec<(Manner, String)> {
    let mut legend: Vec<(Manner, String)> = Vec::new();
    for block in sketches.iter().flat_map(|sketch| &sketch.blocks) {
        // Those of one mark differ in their numbers, which a few of them may show.
        let known = legend.iter().any(|(manner, _)| *manner == block.manner);
        if !known && legend.len() < 6 {
            legend.push((block.manner, block.manner.words()));
        }
    }
    legend
}

fn path(svg: &mut String, class: &str, data: &str) {
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"{data}\"/>");
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(text)
    );
}

fn centred(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
        escaped(text)
    );
}

/// The width of a small text.
fn wide(text: &str) -> f64 {
    text.chars().count() as f64 * SMALL * ADVANCE
}

/// A text as lines of at most `width` characters, cut between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text as XML has it; control characters, which XML has not, become spaces.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_lab::reveal::{Order, Pairing, label};

    fn picture(orders: &[(&str, Order)], terms: usize) -> String {
        let trees: Vec<_> = (orders.iter())
            .map(|(title, order)| (*title, order.tree(terms).unwrap()))
            .collect();
        let labels: Vec<String> = trees.iter().map(|(_, tree)| label(tree)).collect();
        let panels: Vec<TreePanel<'_>> = (trees.iter().zip(&labels))
            .map(|((title, tree), caption)| TreePanel {
                title,
                caption,
                tree,
            })
            .collect();
        tree_svg(&panels)
    }

    #[test]
    fn each_run_is_a_bar_and_each_addition_of_runs_a_dot() {
        let svg = picture(
            &[
                ("torch 1.13.1", Order::runs(112)),
                ("torch 2.4.1", Order::runs(192)),
            ],
            384,
        );
        assert_eq!(svg.matches("<circle").count(), 3 + 1);
        // Six bars, and one of each colour in the legend: no run of one is a run of the other.
        assert_eq!(svg.matches("<rect class=\"own\"").count(), 6 + 1);
        assert_eq!(svg.matches("<rect class=\"bar\"").count(), 1);
        assert!(svg.contains(">336 … 383<") && svg.contains(">48<"), "{svg}");
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn what_both_have_in_common_is_not_coloured() {
        let split = Order::split_k(384, 4);
        let svg = picture(&[("a", Order::runs(96)), ("b", split)], 384);
        assert_eq!(
            svg.matches("<rect class=\"own\"").count(),
            1,
            "the legend's"
        );
    }

    #[test]
    fn every_picture_is_well_formed_and_finite() {
        for terms in [1, 2, 3, 384, 1536] {
            for order in [
                Order::SEQUENTIAL,
                Order::REVERSED,
                Order::AtOnce,
                Order::Pairwise(Pairing::Far),
                Order::lanes(16, Order::Pairwise(Pairing::Far)),
                Order::lanes(32, Order::SEQUENTIAL),
                Order::Fused { width: 16 },
                Order::runs(16),
            ] {
                let svg = picture(&[("<a & \"b\">\u{7}", order)], terms);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert!(svg.contains("&lt;a &amp; &quot;b&quot;&gt; <"), "{svg}");
                assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
            }
        }
    }

    #[test]
    fn captions_are_cut_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), Vec::<String>::new());
    }
}
