//! Numbers as people read them.

use concord_lab::diff::TensorForm;

/// A count with its thousands divided: `14,000,000`.
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    let Ok(number) = number.try_into() else {
        return "more than can be counted".to_owned();
    };
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A magnitude in two or three digits: `0`, `0.25`, `1.2e-6`.
pub(crate) fn magnitude(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.1e}");
    }
    // Three significant digits: one before the point for each power of ten.
    let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A share of a whole in percent, with so many digits that only the whole is `100 %`: `99.996 %`.
pub(crate) fn share(part: f64) -> String {
    let percent = 100.0 * part;
    let rest = 100.0 - percent;
    if rest <= 0.0 || percent <= 0.0 {
        return format!("{} %", percent.clamp(0.0, 100.0));
    }
    // Two significant digits of what is missing.
    let decimals = (1 - rest.log10().floor() as i32).max(1) as usize;
    format!("{percent:.decimals$} %")
}

/// A distance: `3 ULP`.
pub(crate) fn ulps(distance: u64) -> String {
    format!("{} ULP", count(distance))
}

/// Dtype and shape: `f16 139,412 × 128`, `f32 scalar`.
pub(crate) fn form(form: &TensorForm) -> String {
    if form.shape.is_empty() {
        return format!("{} scalar", form.dtype);
    }
    let sizes: Vec<String> = form.shape.iter().map(|&size| count(size as u64)).collect();
    format!("{} {}", form.dtype, sizes.join(" × "))
}

/// An index: `[1203, 17]`.
pub(crate) fn index(index: &[usize]) -> String {
    format!("{index:?}")
}

/// A number of things: `1 row`, `2,000 rows`.
pub(crate) fn several(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_divided() {
        let texts = [0u64, 7, 999, 1_000, 139_412, 14_000_000].map(count);
        assert_eq!(texts, ["0", "7", "999", "1,000", "139,412", "14,000,000"]);
    }

    #[test]
    fn only_the_whole_is_a_hundred_percent() {
        for (part, text) in [
            (0.0, "0 %"),
            (0.002, "0.2 %"),
            (0.5, "50.0 %"),
            (0.98, "98.0 %"),
            (1.0 - 2e-3, "99.80 %"),
            (1.0 - 3.7e-5, "99.9963 %"),
            (1.0 - 3e-9, "99.99999970 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(share(part), text);
        }
    }

    #[test]
    fn magnitudes_have_two_or_three_digits_wherever_they_lie() {
        let texts = [
            0.0,
            1.234e-6,
            0.001,
            0.0254,
            0.25,
            3.0,
            12.34,
            1234.5,
            2.5e9,
            f64::INFINITY,
        ]
        .map(magnitude);
        assert_eq!(
            texts,
            [
                "0", "1.2e-6", "0.001", "0.0254", "0.25", "3", "12.3", "1234", "2.5e9", "inf"
            ]
        );
    }
}
