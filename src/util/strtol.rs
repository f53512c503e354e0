//! `strtol`: numbers as the C library reads them.
//!
//! Configuration values have always been read with strtol(3): leading white
//! space, a sign, decimal digits, and whatever follows is the caller's
//! business. This is that, for byte strings, without the C library's errno.

/// What [`strtol`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strtol<'a> {
    /// The number; zero when there are no digits.
    pub value: i64,
    /// What follows the number; all of the text when there are no digits.
    pub rest: &'a [u8],
    /// The number did not fit.
    pub overflow: bool,
}

/// Reads a decimal number from the beginning of `text`. Never fails; `rest`
/// and `overflow` tell whether the caller may like the result.
pub fn strtol(text: &[u8]) -> Strtol<'_> {
    let start = skip_space(text);
    let (negative, digits) = match start.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, start),
    };
    let count = digits.iter().take_while(|c| c.is_ascii_digit()).count();
    if count == 0 {
        return Strtol {
            value: 0,
            rest: text,
            overflow: false,
        };
    }
    let (number, rest) = digits.split_at(count);
    let value = number.iter().try_fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let digit = if negative { -digit } else { digit };
        value.checked_mul(10)?.checked_add(digit)
    });
    Strtol {
        value: value.unwrap_or(if negative { i64::MIN } else { i64::MAX }),
        rest,
        overflow: value.is_none(),
    }
}

/// Whether isspace(3) would say so. Unlike `is_ascii_whitespace` this knows
/// the vertical tab.
pub fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

/// The text from its first byte that is not white space.
pub fn skip_space(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&c| is_space(c)).count();
    &text[blanks..]
}

/// The text without white space at its end.
pub fn trim_end(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|&&c| is_space(c)).count();
    &text[..text.len() - blanks]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (i64, &str, bool) {
        let found = strtol(text.as_bytes());
        let rest = std::str::from_utf8(found.rest).unwrap();
        (found.value, rest, found.overflow)
    }

    #[test]
    fn a_number_may_have_space_and_a_sign_before_it_and_anything_behind() {
        assert_eq!(parts("100"), (100, "", false));
        assert_eq!(parts(" \t\x0b-7s"), (-7, "s", false));
        assert_eq!(parts("+03.6"), (3, ".6", false));
        assert_eq!(parts("0x10"), (0, "x10", false));
    }

    #[test]
    fn without_digits_nothing_is_consumed() {
        assert_eq!(parts(""), (0, "", false));
        assert_eq!(parts("s"), (0, "s", false));
        assert_eq!(parts(" -"), (0, " -", false));
    }

    #[test]
    fn what_does_not_fit_is_said_to_overflow() {
        assert_eq!(parts("9223372036854775807"), (i64::MAX, "", false));
        assert_eq!(parts("-9223372036854775808"), (i64::MIN, "", false));
        assert_eq!(parts("9223372036854775808x"), (i64::MAX, "x", true));
        assert_eq!(parts("-9223372036854775809"), (i64::MIN, "", true));
    }
}
