//! Tables with aligned columns.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::printable::{escaped, printable};
use crate::style::{Style, Tone};

/// Between two columns.
const GAP: usize = 2;

/// The narrowest that a column is cut to; where even that does not fit, lines are longer than the
/// terminal.
const MIN_WIDTH: usize = 12;

/// To which side the cells of a column lean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

#[derive(Clone, Debug)]
pub struct Column {
    title: String,
    align: Align,
    gives_way: bool,
}

impl Column {
    /// A column of text.
    pub fn left(title: &str) -> Column {
        Column {
            title: title.to_owned(),
            align: Align::Left,
            gives_way: false,
        }
    }

    /// A column of numbers.
    pub fn right(title: &str) -> Column {
        Column {
            align: Align::Right,
            ..Column::left(title)
        }
    }

    /// The column whose cells are cut where the terminal is too narrow for all.
    #[must_use]
    pub fn giving_way(mut self) -> Column {
        self.gives_way = true;
        self
    }
}

/// What stands in a row and a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A value with a meaning, [`printable`].
    pub fn toned(tone: Tone, text: impl Into<String>) -> Cell {
        let text = text.into();
        let text = match printable(&text) {
            Cow::Owned(shown) => shown,
            Cow::Borrowed(_) => text,
        };
        Cell { text, tone }
    }

    /// Running text, of whatever length.
    pub fn running(text: &str) -> Cell {
        Cell {
            text: escaped(text).into_owned(),
            tone: Tone::Plain,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::toned(Tone::Plain, text)
    }
}

/// Rows under titled columns.
///
/// ```
/// use concord_report::{Column, Style, Table};
///
/// let mut table = Table::new([Column::left("name"), Column::right("bytes")]);
/// table.row(["codes".into(), "1,024".into()]);
/// assert_eq!(table.render(&Style::default()), "name   bytes\ncodes  1,024\n");
/// ```
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub fn new(columns: [Column; N]) -> Table<N> {
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table as lines, each with a newline. Nothing follows the last text of a line.
    pub fn render(&self, style: &Style) -> String {
        let widths = self.widths(style.width);
        let titles = self.columns.clone().map(|column| Cell {
            text: column.title,
            tone: Tone::Strong,
        });
        let mut out = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            self.line(row, &widths, style, &mut out);
        }
        out
    }

    fn widths(&self, terminal: Option<usize>) -> [usize; N] {
        let mut widths = [0; N];
        for (at, width) in widths.iter_mut().enumerate() {
            let cells = self.rows.iter().map(|row| row[at].text.width());
            *width = cells.fold(self.columns[at].title.width(), usize::max);
        }
        let whole = widths.iter().sum::<usize>() + GAP * N.saturating_sub(1);
        let excess = terminal.map_or(0, |terminal| whole.saturating_sub(terminal));
        if let Some(at) = self.columns.iter().position(|column| column.gives_way) {
            let least = MIN_WIDTH
                .max(self.columns[at].title.width())
                .min(widths[at]);
            widths[at] = widths[at].saturating_sub(excess).max(least);
        }
        widths
    }

    fn line(&self, row: &[Cell; N], widths: &[usize; N], style: &Style, out: &mut String) {
        let last = row.iter().rposition(|cell| !cell.text.is_empty());
        for (at, cell) in row.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            if at > 0 {
                pad(GAP, out);
            }
            let text = shortened(&cell.text, widths[at]);
            let space = widths[at].saturating_sub(text.width());
            if self.columns[at].align == Align::Right {
                pad(space, out);
            }
            out.push_str(&style.paint(cell.tone, &text));
            if self.columns[at].align == Align::Left && Some(at) != last {
                pad(space, out);
            }
        }
        out.push('\n');
    }
}

fn pad(spaces: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', spaces));
}

/// `text` in at most `width` columns, with an ellipsis where something was cut.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 0);
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        short.push(character);
    }
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<2> {
        let mut table = Table::new([Column::right("n"), Column::left("text").giving_way()]);
        table.row(["1".into(), "one".into()]);
        table.row(["1,000".into(), "a thousand little words".into()]);
        table
    }

    #[test]
    fn numbers_lean_right_and_lines_end_with_their_text() {
        let text = table().render(&Style::default());
        assert_eq!(
            text,
            "    n  text\n    1  one\n1,000  a thousand little words\n"
        );
    }

    #[test]
    fn the_column_that_gives_way_is_cut_to_the_terminal() {
        let style = Style {
            width: Some(21),
            ..Style::default()
        };
        let text = table().render(&style);
        assert!(text.ends_with("1,000  a thousand li…\n"), "{text}");
        assert!(text.lines().all(|line| line.width() <= 21), "{text}");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut table = Table::new([Column::left("passage"), Column::left("x")]);
        table.row(["日本語".into(), "x".into()]);
        table.row(["latin".into(), "y".into()]);
        let text = table.render(&Style::default());
        assert_eq!(text, "passage  x\n日本語   x\nlatin    y\n");
        assert_eq!(shortened("日本語", 5), "日本…");
        assert_eq!(shortened("日本語", 4), "日…");
    }

    #[test]
    fn control_characters_cannot_move_the_cursor() {
        let mut table = Table::new([Column::left("text")]);
        table.row(["a\u{1b}[2Jb\nc".into()]);
        let shown = "text\na\\u{1b}[2Jb\\nc\n";
        assert_eq!(table.render(&Style::default()), shown);
    }

    #[test]
    fn colour_adds_nothing_but_escapes() {
        let mut table = Table::new([Column::left("bits"), Column::left("x")]);
        table.row([Cell::toned(Tone::Bad, "no"), "x".into()]);
        let style = Style {
            colour: true,
            ..Style::default()
        };
        let coloured = table.render(&style);
        assert!(
            coloured.contains("\u{1b}[31mno\u{1b}[0m    x"),
            "{coloured:?}"
        );
        let mut plain = coloured;
        for code in ["[31m", "[1m", "[0m"] {
            plain = plain.replace(&format!("\u{1b}{code}"), "");
        }
        assert_eq!(plain, table.render(&Style::default()));
    }
}
