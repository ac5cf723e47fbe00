//! How good a ranking is.

use concord_index::evaluate::Metrics;

use crate::style::Style;
use crate::table::{Cell, Column, Table};

/// The measures of a ranking as a table of one row.
pub fn metrics_table(metrics: &Metrics, style: &Style) -> String {
    let mut table =
        Table::new(["queries", "Recall@10", "MRR@10", "Success@5", "nDCG@10"].map(Column::right));
    let part = |value: f64| Cell::from(format!("{value:.4}"));
    table.row([
        Cell::from(metrics.queries.to_string()),
        part(metrics.recall_at_10),
        part(metrics.mrr_at_10),
        part(metrics.success_at_5),
        part(metrics.ndcg_at_10),
    ]);
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measure_stands_under_its_name() {
        let metrics = Metrics {
            queries: 3,
            recall_at_10: 0.5,
            ..Metrics::default()
        };
        let table = metrics_table(&metrics, &Style::default());
        let mut lines = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(lines.next().unwrap()[1], "Recall@10");
        assert!(
            lines.any(|line| line.first() == Some(&"3") && line[1] == "0.5000"),
            "{table}"
        );
    }
}
