//! Numbers as Python prints them.

/// `value` as Python's `repr(float)` writes it.
///
/// The digits are the fewest that read back as the same number (of several choices the nearest,
/// of two equally near ones the even one). They stand in positional notation if the decimal
/// exponent lies from -4 to 15, and in scientific notation with at least two exponent digits
/// otherwise (CPython's `float_repr_style` "short"). ColBERT's ranking files hold scores in this
/// form, each an `f32` widened to `f64`.
pub fn python_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = shortest(value.abs());
    let (mantissa, exponent) = match scientific.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (scientific.as_str(), 0),
    };
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}", place_point(&digits, exponent))
}

/// The fewest digits that read back as `value`, as `D.DDDeX`.
fn shortest(value: f64) -> String {
    let shortest = format!("{value:e}");
    let digits = shortest
        .bytes()
        .take_while(|b| *b != b'e')
        .filter(u8::is_ascii_digit);
    let decimals = digits.count() - 1;
    // Where two choices of so many digits are equally near, as is common for an `f32` widened,
    // Rust's shortest form takes the upper one and Python the even one, as Rust does when told
    // how many digits to print.
    let rounded = format!("{value:.decimals$e}");
    match rounded.parse::<f64>() {
        Ok(same) if same == value => rounded,
        _ => shortest,
    }
}

/// `0.digits × 10^(exponent + 1)` in Python's notation.
fn place_point(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    match exponent {
        -4..0 => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        0..16 => {
            let whole = exponent as usize + 1;
            match digits.len() <= whole {
                true => format!("{digits}{}.0", "0".repeat(whole - digits.len())),
                false => format!("{}.{}", &digits[..whole], &digits[whole..]),
            }
        }
        _ => {
            let point = if rest.is_empty() { "" } else { "." };
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_look_as_python_prints_them() {
        let printed = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (12.33104133605957, "12.33104133605957"),
            (f64::from(0.1f32), "0.10000000149011612"),
            (917.9341430664062, "917.9341430664062"),
            (-1025087167514585.2, "-1025087167514585.2"),
            (2.6571426391601562, "2.6571426391601562"),
            (9.5367431640625e-07, "9.5367431640625e-07"),
            (f64::from(f32::MIN_POSITIVE), "1.1754943508222875e-38"),
            (f64::from(f32::MAX), "3.4028234663852886e+38"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (-0.000012345, "-1.2345e-05"),
            (1e15, "1000000000000000.0"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9007199254740993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (value, text) in printed {
            assert_eq!(python_repr(value), text);
        }
    }

    proptest! {
        #[test]
        fn the_printed_number_reads_back_as_itself(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let back: f64 = python_repr(value).parse().unwrap();
            prop_assert_eq!(back.to_bits(), bits);
        }
    }
}
