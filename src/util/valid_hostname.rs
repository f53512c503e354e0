//! `valid_hostname`: checks the syntax of a host name.

use super::printable::printable;
use crate::msg_warn;

const VALID_LABEL_LEN: usize = 63;
const VALID_HOSTNAME_LEN: usize = 255;

/// Returns true for labels of letters, digits, underscores and inner hyphens,
/// with single dots between them: at most 63 bytes per label and 255 in all, and
/// not only digits. Otherwise logs a warning with the reason.
/// The original's `valid_hostname()`.
pub fn valid_hostname(name: &[u8]) -> bool {
    if name.is_empty() {
        msg_warn!("valid_hostname: empty hostname");
        return false;
    }
    let head = printable(&name[..name.len().min(100)]);
    let mut label_length = 0;
    let mut numeric = true;
    for (i, &c) in name.iter().enumerate() {
        let next = name.get(i + 1).copied();
        match c {
            b'.' => {
                if label_length == 0 || next.is_none() {
                    msg_warn!("valid_hostname: misplaced delimiter: {head}");
                    return false;
                }
                label_length = 0;
            }
            b'-' => {
                numeric = false;
                label_length += 1;
                if label_length == 1 || matches!(next, None | Some(b'.')) {
                    msg_warn!("valid_hostname: misplaced hyphen: {head}");
                    return false;
                }
            }
            _ if c.is_ascii_alphanumeric() || c == b'_' => {
                label_length += 1;
                if label_length > VALID_LABEL_LEN {
                    msg_warn!("valid_hostname: hostname label too long: {head}");
                    return false;
                }
                numeric &= c.is_ascii_digit();
            }
            _ => {
                msg_warn!("valid_hostname: invalid character {c}(decimal): {head}");
                return false;
            }
        }
    }
    if numeric {
        msg_warn!("valid_hostname: numeric hostname: {head}");
        return false;
    }
    if name.len() > VALID_HOSTNAME_LEN {
        msg_warn!("valid_hostname: bad length {} for {head}...", name.len());
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_valid() {
        for name in ["a", "a.b", "a_b", "1a", "1-2", "1.2-3", "xn--a", "0x1"] {
            assert!(valid_hostname(name.as_bytes()), "{name}");
        }
        assert!(valid_hostname(&[b'a'; 63]));
        assert!(valid_hostname(&b"a.".repeat(128)[..255]));
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "a.", ".a", "a..b", "-a", "a-", "a-.b", "a.-b", "a b", "1", "1.2.3.4", "a\u{e9}", "",
        ] {
            assert!(!valid_hostname(name.as_bytes()), "{name}");
        }
        assert!(!valid_hostname(&[b'a'; 64]));
        assert!(!valid_hostname(&b"a.".repeat(129)[..257]));
    }
}
