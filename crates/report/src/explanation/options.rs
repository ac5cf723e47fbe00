//! What two subjects describe themselves by differently, in lines that fit.

use concord_lab::explain::OptionDifference;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::figures::several;
use crate::style::Style;

/// The columns that a value keeps in any case.
const LEAST: usize = 12;

/// `they differ in mkl: A …, B …`, each value cut to what fits, with how much of it is left out.
pub(super) fn line(option: &OptionDifference, style: &Style) -> String {
    let before = format!("they differ in {}: A ", option.name);
    let values = [&option.a, &option.b];
    let [a, b] = match style.width {
        None => values.map(String::clone),
        Some(width) => {
            let room = width.saturating_sub(before.width() + ", B ".len());
            fitting(values.map(String::as_str), room)
        }
    };
    format!("{before}{a}, B {b}\n")
}

/// Two texts in `room` columns together: what one does not need is the other's.
fn fitting([a, b]: [&str; 2], room: usize) -> [String; 2] {
    let half = room / 2;
    let rooms = match [a.width() <= half, b.width() <= half] {
        [true, _] => [half, room - a.width()],
        [false, true] => [room - b.width(), half],
        [false, false] => [half, room - half],
    };
    [shortened(a, rooms[0]), shortened(b, rooms[1])]
}

/// The beginning of a text in `room` columns, and how many characters follow it.
fn shortened(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let all = text.chars().count();
    // The count that takes most columns is that of all.
    let room = room.saturating_sub(rest_of(all).width()).max(LEAST);
    let mut used = 0;
    let fits = text.chars().take_while(|character| {
        used += character.width().unwrap_or(0);
        used <= room
    });
    let fits = fits.collect::<String>();
    let kept = fits.chars().count();
    match kept == all {
        true => fits,
        false => format!("{}{}", fits.trim_end(), rest_of(all - kept)),
    }
}

fn rest_of(characters: usize) -> String {
    format!("… ({} more)", several(characters, "character"))
}

#[cfg(test)]
mod tests {
    use concord_lab::explain::OptionKind;

    use super::*;

    fn lines(a: &str, b: &str, width: Option<usize>) -> String {
        let option = OptionDifference {
            name: "mkl".to_owned(),
            kind: OptionKind::Version,
            a: a.to_owned(),
            b: b.to_owned(),
        };
        let colour = false;
        line(&option, &Style { colour, width })
    }

    #[test]
    fn what_fits_is_whole_and_what_does_not_ends_with_a_count() {
        let long = "x".repeat(200);
        assert_eq!(lines("1", "2", Some(40)), "they differ in mkl: A 1, B 2\n");
        let one = lines(&long, "2", Some(80));
        assert!(one.ends_with(", B 2\n"), "{one}");
        assert_eq!(
            lines(&long, "2", None),
            format!("they differ in mkl: A {long}, B 2\n")
        );
        for (a, b, width) in [
            (&long[..], "2", Some(80)),
            ("1", &long[..], Some(80)),
            (&long[..], &long[1..], Some(100)),
        ] {
            let line = lines(a, b, width);
            assert!(line.trim_end().width() <= width.unwrap(), "{line}");
            // What is kept and what is counted are all that there was.
            let (kept, rest) = line.split_once('…').unwrap();
            let kept = kept.chars().rev().take_while(|c| *c == 'x').count();
            let (left, _) = rest.split_once(" more").unwrap();
            let left: usize = left[2..].split(' ').next().unwrap().parse().unwrap();
            let whole = [a, b].map(str::len);
            assert!(whole.contains(&(kept + left)), "{line}");
        }
    }

    #[test]
    fn a_value_keeps_its_beginning_however_narrow_the_place_is() {
        let line = lines(&"y".repeat(90), "2", Some(10));
        assert!(
            line.contains(&format!("A {}… (78 characters more)", "y".repeat(12))),
            "{line}"
        );
        let wide = "字".repeat(60);
        let line = lines(&wide, "2", Some(80));
        assert!(line.trim_end().width() <= 80, "{line}");
    }
}
