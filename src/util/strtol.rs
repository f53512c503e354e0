//! `strtol`: converts numbers as strtol(3) does, and tests for white space as
//! isspace(3) does.
//!
//! The C program converts configuration values with strtol(3): white space, a sign,
//! decimal digits. The caller checks the text after the number.

/// The result of [`strtol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strtol<'a> {
    /// The number; zero if there are no digits.
    pub value: i64,
    /// The text after the number; all of the text if there are no digits.
    pub rest: &'a [u8],
    /// True if the number did not fit: `value` is then the minimum or maximum.
    pub overflow: bool,
}

/// Converts the decimal number at the beginning of `text`.
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

/// Returns true for white space. Unlike `is_ascii_whitespace`, but like isspace(3),
/// this includes the vertical tab.
pub fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

/// Returns the text without leading white space.
pub fn skip_space(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&c| is_space(c)).count();
    &text[blanks..]
}

/// Returns the text without trailing white space.
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
    fn a_number_may_have_space_and_a_sign_before_it_and_any_text_after_it() {
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
    fn numbers_that_do_not_fit_overflow() {
        assert_eq!(parts("9223372036854775807"), (i64::MAX, "", false));
        assert_eq!(parts("-9223372036854775808"), (i64::MIN, "", false));
        assert_eq!(parts("9223372036854775808x"), (i64::MAX, "x", true));
        assert_eq!(parts("-9223372036854775809"), (i64::MIN, "", true));
    }
}
