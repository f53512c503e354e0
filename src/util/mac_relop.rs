//! `mac_relop`: the operators of relational expressions. A part of the original's
//! `mac_expand`.

use std::cmp::Ordering;

use super::mac_parse::MacError;
use super::printable::printable;
use super::strtol::strtol;

/// A comparison that an operator's suffix selects. Logs a warning and returns None if
/// the values cannot be compared.
pub type MacRelop = fn(left: &[u8], right: &[u8]) -> Option<Ordering>;

/// Returns the operator of that name. None if there is none.
pub(super) fn relop(op: &[u8]) -> Option<fn(Ordering) -> bool> {
    match op {
        b"==" => Some(Ordering::is_eq),
        b"!=" => Some(Ordering::is_ne),
        b"<" => Some(Ordering::is_lt),
        b"<=" => Some(Ordering::is_le),
        b">=" => Some(Ordering::is_ge),
        b">" => Some(Ordering::is_gt),
        _ => None,
    }
}

/// Compares as numbers if both sides are numbers, otherwise as strings.
/// The original's `mac_exp_eval()`: the caller applies the operator.
pub(super) fn compare_values(left: &[u8], right: &[u8]) -> Result<Ordering, MacError> {
    let all_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if all_digits(left) && all_digits(right) {
        Ok(to_number(left)?.cmp(&to_number(right)?))
    } else {
        Ok(left.cmp(right))
    }
}

/// Converts digits. Fails if the number is too large. The original's `atol_or_die()`.
fn to_number(text: &[u8]) -> Result<i64, MacError> {
    let number = strtol(text);
    if number.overflow {
        let text = format!("mac_exp_eval: bad conversion: {}", printable(text));
        return Err(MacError::Fatal(text));
    }
    Ok(number.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_are_compared_as_numbers() {
        let compare = |left: &str, right: &str| compare_values(left.as_bytes(), right.as_bytes());
        assert_eq!(compare("10", "9"), Ok(Ordering::Greater));
        assert_eq!(compare("10", "9a"), Ok(Ordering::Less));
        assert_eq!(compare("1a", "9"), Ok(Ordering::Less));
        assert_eq!(compare("abc", "abd"), Ok(Ordering::Less));
        assert_eq!(compare("", "0"), Ok(Ordering::Less));
    }
}
