//! What was found of a cause, in words.

use concord_lab::explain::{
    Cause, Contrast, Deciding, Dimension, Forced, Formulas, How, Orders, ShapePair, Way, Why,
};
use concord_lab::reveal::OrderSummary;

use super::masks;
use super::places::{listed, sides};
use crate::figures::count;

/// How a stage after the encoder makes an artifact.
pub(super) fn made_by(artifact: &str) -> &'static str {
    match artifact {
        "tensorize_output" => "the tokenizer",
        "batches" => "the encoder",
        "D" | "embs" | "doclens" => "gathering the kept tokens, rounding to f16",
        "sampled_pids" | "local_sample_embs" | "plan" => "sampling",
        "sample" | "sample_heldout" => "the split of the sample",
        "centroids" => "k-means",
        "bucket_cutoffs" | "bucket_weights" => "quantiles of the residuals",
        "avg_residual" => "the mean of the residuals",
        "codes" => "the nearest centroid",
        "residuals" => "quantising the residuals",
        "values" | "ivf" | "ivf_lengths" => "inverting the codes",
        _ => "its stage",
    }
}

/// Why, in few words, for the sentence.
pub(super) fn in_short(cause: &Cause, forced: &Forced) -> String {
    match &cause.why {
        Why::CutOut { sides: on } => format!("{} gives back what it reads", sides(*on)),
        Why::LeftOut { sides: on } => format!(
            "the options of {} cut {} out",
            sides(*on),
            match cause.modules.len() {
                1 => "it",
                _ => "them",
            }
        ),
        Why::Random { sides: on } => format!("{} gives another result each time", sides(*on)),
        Why::OtherMask { first, wholly } => {
            let rest = if *wholly {
                ""
            } else {
                ", and not by these alone"
            };
            let (pid, masks) = (first.pid, masks::sides(first));
            format!("they have other attention masks (passage {pid}: {masks}){rest}")
        }
        Why::Shape {
            deciding,
            shapes,
            wholly,
            ..
        } => {
            let rest = match wholly {
                true => "; in A's batches B computes what A does",
                false => ", and their code differs as well",
            };
            format!("{} ({}){rest}", decides(deciding), pair(deciding, *shapes))
        }
        Why::Precision { a, b, .. } => format!("A computes in {a}, B in {b}"),
        Why::Attention { a, b } => format!("A has the implementation {a}, B {b}"),
        Why::Order { .. } => "the two add the products in other orders".to_owned(),
        Why::Formula { formulas } => {
            let known = formulas
                .iter()
                .filter_map(|&place| forced.formulas.get(place));
            match known.clone().count() > 0 && known.clone().all(are_known) {
                true => "the two compute by other formulas".to_owned(),
                false => "asked alone, the two give other results".to_owned(),
            }
        }
        Why::Unknown => "why is not known".to_owned(),
    }
}

/// Why, with the orders and formulas that were found.
pub(super) fn in_full(cause: &Cause, forced: &Forced) -> String {
    let orders = |places: &[usize]| {
        let found = places.iter().filter_map(|&place| forced.orders.get(place));
        // What most modules do; the table has the others.
        let most = found.max_by_key(|orders| orders.modules.len());
        most.map(|orders| in_which_order(orders, places.len()))
    };
    match &cause.why {
        Why::Shape {
            deciding,
            shapes,
            orders: places,
            ..
        } => {
            let order = orders(places).map_or(String::new(), |order| format!("; {order}"));
            format!("by {} ({}){order}", by(deciding), pair(deciding, *shapes))
        }
        Why::Precision { a, b, wholly } => {
            let rest = match wholly {
                None => "",
                Some(true) => "; A in B's precision gives what B gives",
                Some(false) => "; that is not all: A in B's precision still differs from B",
            };
            format!("A rounds to {a}, B to {b}{rest}")
        }
        Why::Order { orders: places } => orders(places).unwrap_or_else(|| in_short(cause, forced)),
        Why::Formula { formulas } => {
            let first = formulas
                .first()
                .and_then(|&place| forced.formulas.get(place));
            first.map_or_else(|| in_short(cause, forced), by_which_formula)
        }
        Why::Unknown => {
            "why is not known: asked alone, both give the same results, or could not be asked"
                .to_owned()
        }
        Why::CutOut { .. }
        | Why::LeftOut { .. }
        | Why::Random { .. }
        | Why::OtherMask { .. }
        | Why::Attention { .. } => in_short(cause, forced),
    }
}

/// What of the batch decides, as the beginning of a sentence.
fn decides(deciding: &Deciding) -> String {
    let all = dimensions(deciding);
    match (deciding.how, deciding.dimensions.len()) {
        (How::Alone, 1) => format!("{all} decides"),
        (How::Alone, _) => format!("{all} decide, each alone"),
        (How::Together, _) => format!("{all} decide together, none alone"),
        (How::Untold, _) => "the batch decides, and what of it could not be told".to_owned(),
    }
}

/// The same, as it follows `by`.
fn by(deciding: &Deciding) -> String {
    let all = dimensions(deciding);
    match (deciding.how, deciding.dimensions.len()) {
        (How::Alone, 1) => all,
        (How::Alone, _) => format!("{all}, each alone"),
        (How::Together, _) => format!("{all} together, by none alone"),
        (How::Untold, _) => "the batch, and what of it could not be told".to_owned(),
    }
}

fn dimensions(deciding: &Deciding) -> String {
    let words = match deciding.dimensions.len() {
        1 => of_dimension,
        _ => in_a_list,
    };
    let all = deciding.dimensions.iter();
    listed(all.map(|dimension| words(*dimension).to_owned()))
}

fn of_dimension(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Rows => "the number of rows of the batch",
        Dimension::PaddedLength => "the padded length of the batch",
        Dimension::Passages => "the number of passages in the batch",
        Dimension::Either => "the shape of the batch",
        Dimension::Place => "the passage's place in the batch",
        Dimension::Neighbours => "what else is in the batch",
    }
}

/// The same beside others, in fewer words.
fn in_a_list(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Rows => "the batch's number of rows",
        Dimension::PaddedLength => "the batch's padded length",
        Dimension::Passages => "the batch's number of passages",
        Dimension::Place => "the passage's place",
        Dimension::Either | Dimension::Neighbours => of_dimension(dimension),
    }
}

/// The batches of one passage on both sides, and the passage's places where these are told of.
fn pair(deciding: &Deciding, shapes: ShapePair) -> String {
    let (a, b) = (shapes.a, shapes.b);
    let places = match deciding.dimensions.contains(&Dimension::Place) && a.place != b.place {
        true => format!(
            "; passage {} is number {} and {}",
            shapes.pid,
            count(a.place + 1),
            count(b.place + 1)
        ),
        false => String::new(),
    };
    let rows = |shape: concord_lab::explain::BatchShape| {
        let padded = shape.passages.saturating_mul(shape.tokens);
        match padded == shape.rows {
            true => format!(
                "{} × {} = {}",
                shape.passages,
                shape.tokens,
                count(shape.rows)
            ),
            false => count(shape.rows),
        }
    };
    format!("A {}, B {}{places}", rows(a), rows(b))
}

fn in_which_order(orders: &Orders, all: usize) -> String {
    let [rows_a, rows_b] = orders.rows.map(count);
    let [a, b] = in_words(orders);
    let products = count(orders.inputs);
    let more = match all {
        0 | 1 => "",
        _ => "; other widths in their own orders",
    };
    match orders.contrast {
        Contrast::Shapes => {
            format!(
                "of {products} products A makes, at {rows_a} rows, {a}, and at {rows_b} rows {b}{more}"
            )
        }
        Contrast::Sides => {
            format!("of {products} products, at {rows_a} rows, A makes {a}, B {b}{more}")
        }
    }
}

/// The orders of both cases; of several the one that the other case does not have.
fn in_words(orders: &Orders) -> [String; 2] {
    let odd = |own: &[OrderSummary], other: &[OrderSummary]| {
        let is_odd = |order: &&OrderSummary| other.iter().all(|theirs| theirs.hash != order.hash);
        own.iter().find(is_odd).or(own.first()).cloned()
    };
    let odds = [odd(&orders.a, &orders.b), odd(&orders.b, &orders.a)];
    let beginning = |order: &OrderSummary| {
        let (beginning, _) = order.label.split_once("; ").unwrap_or((&order.label, ""));
        beginning.to_owned()
    };
    // How parts are added inside is in the table, unless that is where the two differ.
    let begins_alike = match &odds {
        [Some(a), Some(b)] => beginning(a) == beginning(b),
        _ => false,
    };
    let of = |odd: &Option<OrderSummary>, side: &[OrderSummary]| {
        let Some(order) = odd else {
            return "an order that was not found".to_owned();
        };
        let label = match begins_alike {
            true => order.label.replace("; ", ", "),
            false => beginning(order),
        };
        match side {
            [_] => label,
            several => {
                let all = several.iter().map(|order| order.sums).sum::<usize>();
                format!("{label} for {} of {} sums", count(order.sums), count(all))
            }
        }
    };
    [of(&odds[0], &orders.a), of(&odds[1], &orders.b)]
}

fn by_which_formula(formulas: &Formulas) -> String {
    let side = |way: &Way| match way.reproduced == formulas.samples {
        true => format!("as {}", way.formula.replace("; ", ", ")),
        false => "in a way that is not among the known formulas".to_owned(),
    };
    format!(
        "A computes {} {}, B {}",
        formulas.operation,
        side(&formulas.a),
        side(&formulas.b)
    )
}

/// Whether the formulas of both sides were recognised.
fn are_known(formulas: &Formulas) -> bool {
    let all = formulas.samples;
    formulas.a.reproduced == all && formulas.b.reproduced == all
}
