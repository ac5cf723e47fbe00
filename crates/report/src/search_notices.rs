//! What a reader of search results has to know about them.

use concord_index::search::{Found, SearchPlan};

/// How much there is to find.
#[derive(Clone, Copy, Debug)]
pub struct Searched {
    /// Results asked for, per query.
    pub k: usize,
    pub plan: SearchPlan,
    /// Passages in the index.
    pub passages: usize,
    /// Those of them that are searched, where not all are.
    pub only: Option<usize>,
    /// Centroids in the index.
    pub centroids: usize,
}

/// That queries got fewer passages than asked for, and which option finds more; that passages of equal score were
/// left out. Nothing where neither is so.
pub fn search_notices(found: &[Found], searched: &Searched) -> Vec<String> {
    [too_few(found, searched), tied_at_the_end(found)]
        .into_iter()
        .flatten()
        .collect()
}

/// How many passages exact searches had to score.
pub fn exact_search(found: &[Found]) -> String {
    let scored: usize = found.iter().map(|found| found.scored).sum();
    match found {
        [one] => format!(
            "exact: {scored} of {} passages had to be scored",
            one.candidates
        ),
        _ => {
            let searched: usize = found.iter().map(|found| found.candidates).sum();
            let count = found.len().max(1) as f64;
            format!(
                "exact: {:.1} of {:.1} passages had to be scored for a query on average",
                scored as f64 / count,
                searched as f64 / count
            )
        }
    }
}

fn too_few(found: &[Found], searched: &Searched) -> Option<String> {
    let Searched {
        k,
        plan,
        passages,
        only,
        centroids,
    } = *searched;
    let wanted = k.min(only.unwrap_or(passages));
    let short = || found.iter().filter(|found| found.hits.len() < wanted);
    let least = short().map(|found| found.hits.len()).min()?;
    let got = match found {
        [_] => format!("the query got {least} of the {wanted} passages asked for"),
        _ => format!(
            "{} of {} queries got fewer than the {wanted} passages asked for, the least {least}",
            short().count(),
            found.len(),
        ),
    };
    let mut reasons = Vec::new();
    if short().any(|found| found.scored < found.candidates) {
        reasons.push(format!(
            "only a quarter of --ndocs, which is {}, is scored: give --ndocs {} or more",
            plan.ndocs,
            wanted.saturating_mul(4)
        ));
    }
    if short().any(|found| found.candidates < wanted) {
        reasons.push(match plan.ncells < centroids {
            true => format!(
                "the cells that each query token probes list no more: give a larger --ncells than {}",
                plan.ncells
            ),
            false => "the index lists no other passage in any cell".to_owned(),
        });
    }
    Some(format!("{got}; {}", reasons.join("; ")))
}

fn tied_at_the_end(found: &[Found]) -> Option<String> {
    let tied = found
        .iter()
        .filter(|found| found.tied_with_left_out)
        .count();
    let of = match (tied, found.len()) {
        (0, _) => return None,
        (_, 1) => "the last passage has".to_owned(),
        (tied, all) => format!("for {tied} of {all} queries the last passage has"),
    };
    Some(format!(
        "{of} the score of one that was left out; of equal scores the smaller pid comes first"
    ))
}
