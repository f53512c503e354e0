//! `compat_level`: compatibility levels, `major.minor.patch`. The original's
//! `compat_level`.
//!
//! A level is converted to a number that can be compared. The suffix `level` of a
//! relational operator compares two texts as levels, see [`LEVEL_RELOP`].

use std::cmp::Ordering;

use crate::msg_warn;
use crate::util::mac_relop::MacRelop;
use crate::util::printable::printable;
use crate::util::strtol::strtol;

const MINOR_WIDTH: u32 = 10;
const PATCH_WIDTH: u32 = 10;
const MAJOR_MAX: i64 = i64::MAX >> (MINOR_WIDTH + PATCH_WIDTH);
const MINOR_MAX: i64 = (1 << MINOR_WIDTH) - 1;
const PATCH_MAX: i64 = (1 << PATCH_WIDTH) - 1;

/// A compatibility level as a number. A later level is a larger number.
pub type CompatLevel = i64;

/// The operator suffix `level`, for
/// [`MacExpand`](crate::util::mac_expand::MacExpand).
/// The original's `compat_level_relop_register()`.
pub const LEVEL_RELOP: (&str, MacRelop) = ("level", compat_relop_eval);

/// Converts a level: one to three numbers with dots between them. None if it is
/// malformed or too large. The original's `compat_level_from_string()`.
///
/// ```
/// use scache::global::compat_level::compat_level_from_string;
/// assert!(compat_level_from_string(b"3.10") > compat_level_from_string(b"3.9"));
/// assert_eq!(compat_level_from_string(b"3.6.0"), compat_level_from_string(b"3.6"));
/// assert_eq!(compat_level_from_string(b"3."), None);
/// ```
pub fn compat_level_from_string(text: &[u8]) -> Option<CompatLevel> {
    let (major, rest) = part(text, MAJOR_MAX)?;
    let (minor, rest) = dot_part(rest, MINOR_MAX)?;
    let (patch, rest) = dot_part(rest, PATCH_MAX)?;
    rest.is_empty()
        .then_some((major << (MINOR_WIDTH + PATCH_WIDTH)) | (minor << PATCH_WIDTH) | patch)
}

/// The message about a malformed level.
pub fn malformed(text: &[u8]) -> String {
    format!(
        "malformed compatibility level syntax: \"{}\"",
        printable(text)
    )
}

/// Compares two levels. None, with a warning, if one is malformed.
/// The original's `compat_relop_eval()`: the caller applies the operator.
fn compat_relop_eval(left: &[u8], right: &[u8]) -> Option<Ordering> {
    Some(level_or_warning(left)?.cmp(&level_or_warning(right)?))
}

fn level_or_warning(text: &[u8]) -> Option<CompatLevel> {
    let level = compat_level_from_string(text);
    if level.is_none() {
        msg_warn!("{}", malformed(text));
    }
    level
}

/// Converts one number. Also returns the rest of the text.
fn part(text: &[u8], max: i64) -> Option<(i64, &[u8])> {
    let number = strtol(text);
    let found = number.rest.len() < text.len() && !number.overflow;
    (found && (0..=max).contains(&number.value)).then_some((number.value, number.rest))
}

/// Converts a dot and a number; without a dot the number is zero.
fn dot_part(text: &[u8], max: i64) -> Option<(i64, &[u8])> {
    match text.split_first() {
        Some((b'.', text)) => part(text, max),
        _ => Some((0, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(text: &str) -> Option<CompatLevel> {
        compat_level_from_string(text.as_bytes())
    }

    #[test]
    fn levels_compare_part_by_part() {
        assert!(level("2") < level("10"));
        assert!(level("3.9") < level("3.10"));
        assert!(level("3.6") < level("3.6.1"));
        assert!(level("2.1023.1023") < level("3"));
        assert_eq!(level("1"), level("1.0.0"));
        assert_eq!(level(" +01. 0.-0"), level("1"));
    }

    #[test]
    fn a_level_has_at_most_three_parts_that_fit() {
        for text in [
            "",
            "x",
            "1.",
            ".1",
            "1..0",
            "1.2.",
            "1.2.3.4",
            "1.2x",
            "1 ",
            "-1",
            "0x1",
            "1.1024",
            "1.2.1024",
            "8796093022208",
        ] {
            assert_eq!(level(text), None, "{text}");
        }
        assert_eq!(level("8796093022207.1023.1023"), Some(i64::MAX));
    }

    #[test]
    fn the_suffix_compares_levels() {
        assert_eq!(compat_relop_eval(b"3.6", b"1"), Some(Ordering::Greater));
        assert_eq!(compat_relop_eval(b"3.6", b"3.6.0"), Some(Ordering::Equal));
        assert_eq!(compat_relop_eval(b"3.6", b"x"), None);
    }
}
