//! A tree in words.

use super::order::{Cut, Order, Pairing};
use super::tree::SumTree;

/// The most lengths of runs that are listed.
const LISTED: usize = 8;

/// The most terms of a tree that is shown in brackets.
const IN_BRACKETS: usize = 16;

/// A tree in words: how its terms are added, from the last addition inwards.
///
/// "sequential", "pairwise", "runs of 112, 112, 112, 48, added in order; within a run one after the
/// other", "8 lanes (terms congruent modulo 8), each one after the other, then pairwise". The words are
/// those of the rule that [`Order::of`] found, which makes this very tree; where there is no rule, they
/// say what can be said.
pub fn label(tree: &SumTree) -> String {
    if tree.terms() == 1 {
        return "a single term".to_owned();
    }
    let order = Order::of(tree);
    match order {
        Order::Sequential { reversed, group } => {
            let mut text = "sequential".to_owned();
            if reversed {
                text.push_str(" from the last to the first");
            }
            if group > 1 {
                text.push_str(&format!(", in groups of {group}, each backwards"));
            }
            text
        }
        order => sentence(&order, tree.terms()),
    }
}

/// How `terms` terms are added.
fn sentence(order: &Order, terms: usize) -> String {
    match order {
        Order::Parts {
            cut,
            within,
            joined,
        } => parts(cut, within, joined, terms),
        Order::Halves {
            multiple,
            block,
            within,
        } => halves(*multiple, *block, within, terms),
        Order::Onto { head, within } => {
            let rest = terms.saturating_sub(*head);
            let rest = if rest == 1 {
                "the last term".to_owned()
            } else {
                format!("the last {rest} terms one after the other")
            };
            let first = sentence(within, *head);
            format!("{rest}, onto the sum of the first {head}; that sum: {first}")
        }
        Order::Irregular(tree) => irregular(tree),
        simple => phrase(simple),
    }
}

/// A rule without parts, as a manner of adding.
fn phrase(order: &Order) -> String {
    match order {
        Order::Sequential {
            reversed: false,
            group: 1,
        } => "one after the other".to_owned(),
        Order::Sequential {
            reversed: true,
            group: 1,
        } => "one after the other from the last to the first".to_owned(),
        Order::Sequential { reversed, group } => {
            let from = if *reversed { " from the last" } else { "" };
            format!("one after the other{from}, in groups of {group}, each backwards")
        }
        Order::AtOnce => "all in one addition".to_owned(),
        Order::Fused { width } => {
            format!("{width}+1 fused terms ({width} and the running sum in one addition), in order")
        }
        Order::Pairwise(Pairing::Neighbours) => "pairwise".to_owned(),
        Order::Pairwise(Pairing::HalvesDown | Pairing::HalvesUp) => {
            "pairwise, by halves".to_owned()
        }
        Order::Pairwise(Pairing::Far) => "pairwise, the far ones first".to_owned(),
        Order::Halves { .. } | Order::Parts { .. } | Order::Onto { .. } | Order::Irregular(_) => {
            String::new()
        }
    }
}

/// How the sums of `count` parts, each called a `part`, are added: "added in order".
fn joining(order: &Order, part: &str, count: usize) -> String {
    match *order {
        Order::SEQUENTIAL => "added in order".to_owned(),
        Order::REVERSED => "added from the last to the first".to_owned(),
        Order::AtOnce => "added in one addition".to_owned(),
        Order::Pairwise(Pairing::Far) => {
            format!(
                "added pairwise, {part} i with {part} i + {} first",
                count.div_ceil(2)
            )
        }
        Order::Sequential { .. } | Order::Fused { .. } | Order::Pairwise(_) => {
            format!("added {}", phrase(order))
        }
        _ => match order.tree(count).as_ref().and_then(chain) {
            Some(sequence) => format!("added in the order {}", numbers(&sequence)),
            None => format!(
                "whose {count} sums are added thus: ({})",
                sentence(order, count)
            ),
        },
    }
}

/// The leaves of a tree in which one leaf after the other is added to the sum, in that order, counted from
/// 1; `None` for other trees, and for those with many leaves.
fn chain(tree: &SumTree) -> Option<Vec<usize>> {
    let terms = tree.terms();
    if terms > IN_BRACKETS || !tree.is_binary() || tree.depth() + 1 != terms {
        return None;
    }
    let (mut node, mut backwards) = (tree.root(), Vec::new());
    loop {
        let &[a, b] = tree.parts(node) else {
            backwards.push(node);
            break;
        };
        // Of the two, one is a leaf, and at the bottom both are: the smaller comes first.
        let (leaf, rest) = if tree.size(b) == 1 { (b, a) } else { (a, b) };
        backwards.push(leaf);
        node = rest;
    }
    backwards.reverse();
    Some(backwards.into_iter().map(|leaf| leaf + 1).collect())
}

fn parts(cut: &Cut, within: &[Order], joined: &Order, terms: usize) -> String {
    let numbers: Vec<usize> = (0..terms).collect();
    let sizes: Vec<usize> = cut
        .parts(&numbers)
        .map_or(Vec::new(), |parts| parts.iter().map(Vec::len).collect());
    let part = match cut {
        Cut::Lanes(_) | Cut::LanesThenRest { .. } | Cut::HeadThenLanes { .. } => "lane",
        Cut::RestAndLanes { .. } => "part",
        Cut::Runs(_) | Cut::Lengths(_) => "run",
    };
    let joining = joining(joined, part, sizes.len());
    match cut {
        Cut::Lanes(width) => lanes(*width, within, &joining, &sizes),
        Cut::RestAndLanes { rest, width } => format!(
            "{} and {width} lanes of the others (terms congruent modulo {width}), {joining}{}",
            last(*rest, terms),
            within_each(part, within, &sizes)
        ),
        Cut::LanesThenRest { width, rest } => format!(
            "{width} lanes (terms congruent modulo {width}), {} in the first of them, {joining}{}",
            last(*rest, terms),
            within_each(part, within, &sizes)
        ),
        Cut::HeadThenLanes { head, width } => format!(
            "{width} lanes (terms congruent modulo {width}), all of the first {head} terms in the first of them, \
             {joining}{}",
            within_each(part, within, &sizes)
        ),
        Cut::Runs(_) | Cut::Lengths(_) => {
            let equal = matches!(cut, Cut::Runs(_));
            let among = match joined {
                // What is split over K is added as a tree or at once; what is blocked, in order.
                Order::Pairwise(_) | Order::AtOnce if equal => {
                    let count = sizes.len();
                    format!("split-K {count} ({}, {joining})", runs(&sizes))
                }
                _ => format!("{}, {joining}", runs(&sizes)),
            };
            format!("{among}{}", within_each(part, within, &sizes))
        }
    }
}

/// "the last 8 of 1000 terms".
fn last(rest: usize, terms: usize) -> String {
    match rest {
        1 => format!("the last of {terms} terms"),
        _ => format!("the last {rest} of {terms} terms"),
    }
}

/// "8 lanes (terms congruent modulo 8), each one after the other, then pairwise".
fn lanes(width: usize, within: &[Order], joining: &str, sizes: &[usize]) -> String {
    let lanes = format!("{width} lanes (terms congruent modulo {width})");
    if let ([only], Some(joined)) = (within, joining.strip_prefix("added"))
        && !phrase(only).is_empty()
    {
        return format!("{lanes}, each {}, then{joined}", phrase(only));
    }
    format!("{lanes}, {joining}{}", within_each("lane", within, sizes))
}

/// "runs of 112, 112, 112, 48", "4 runs of 96".
fn runs(sizes: &[usize]) -> String {
    let count = sizes.len();
    let (first, last) = match sizes {
        [first, .., last] => (*first, *last),
        _ => return format!("{count} runs"),
    };
    let alike = |sizes: &[usize]| sizes.iter().all(|&size| size == first);
    if alike(sizes) {
        format!("{count} runs of {first}")
    } else if count <= LISTED {
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        format!("runs of {}", sizes.join(", "))
    } else if alike(&sizes[..count - 1]) {
        format!("{count} runs of {first}, the last of {last}")
    } else {
        let least = sizes.iter().min().unwrap_or(&first);
        let most = sizes.iter().max().unwrap_or(&first);
        format!("{count} runs of {least} to {most}")
    }
}

/// "; within a run one after the other".
fn within_each(part: &str, within: &[Order], sizes: &[usize]) -> String {
    let most = sizes.iter().copied().max().unwrap_or(1);
    if most == 1 {
        return String::new();
    }
    if let [only] = within {
        let comma = if phrase(only).is_empty() { "," } else { "" };
        return format!("; within a {part}{comma} {}", sentence(only, most));
    }
    // Parts of one rule and size are told together.
    let mut told: Vec<(&Order, usize, Vec<usize>)> = Vec::new();
    for (at, (order, &size)) in within.iter().zip(sizes).enumerate() {
        match told.iter_mut().find(|(o, s, _)| *o == order && *s == size) {
            Some((_, _, parts)) => parts.push(at + 1),
            None => told.push((order, size, vec![at + 1])),
        }
    }
    let mut text = String::new();
    for (order, size, parts) in told {
        let which = numbers(&parts);
        let plural = if parts.len() == 1 { "" } else { "s" };
        let how = if size == 1 {
            "a single term".to_owned()
        } else {
            sentence(order, size)
        };
        text.push_str(&format!("; {part}{plural} {which}: {how}"));
    }
    text
}

/// "1, 14, 2 to 13".
fn numbers(sequence: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in sequence {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.iter().map(|&(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn halves(multiple: usize, block: usize, within: &Order, terms: usize) -> String {
    let cut = if multiple > 1 {
        format!("halves cut at multiples of {multiple}")
    } else {
        "halves".to_owned()
    };
    let comma = if phrase(within).is_empty() { "," } else { "" };
    format!(
        "pairwise over the {terms} terms, by {cut}, down to blocks of at most {block}; within a block{comma} {}",
        sentence(within, block)
    )
}

/// What can be said of any tree.
fn irregular(tree: &SumTree) -> String {
    let terms = tree.terms();
    if terms <= IN_BRACKETS {
        return format!("in the order {tree}");
    }
    if tree.is_binary() && tree.depth() + 1 == terms {
        return "one after the other, in no regular order".to_owned();
    }
    let arities = tree.arities();
    let additions: Vec<String> = (arities.iter().map(|(parts, count)| (count, parts)))
        .map(|(count, parts)| format!("{count} of {parts} parts"))
        .collect();
    let last: Vec<String> = (tree.parts(tree.root()).iter().take(LISTED))
        .map(|&part| tree.size(part).to_string())
        .collect();
    let more = if tree.fan_out() > LISTED { ", …" } else { "" };
    format!(
        "no regular order found: additions {}, at most {} of them one upon the other; the last joins sums of {}{more} terms",
        additions.join(", "),
        tree.depth(),
        last.join(", ")
    )
}
