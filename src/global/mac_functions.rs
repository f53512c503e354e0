//! The functions that a parameter value can call: `${name{text}}`, since
//! Postfix 3.11.

use crate::msg_warn;
use crate::util::mac_expand::MacFunction;
use crate::util::midna_domain::{midna_domain_to_ascii, midna_domain_to_utf8};
use crate::util::printable::printable;

/// All of them.
pub const MAC_FUNCTIONS: &[(&str, MacFunction)] = &[
    ("domain_to_ascii", domain_to_ascii),
    ("domain_to_utf8", domain_to_utf8),
];

/// A domain name in ASCII; what is ASCII already is not looked at.
fn domain_to_ascii(name: &[u8]) -> Option<Vec<u8>> {
    if name.is_ascii() && !name.is_empty() {
        return Some(name.to_vec());
    }
    checked("domain_to_ascii", name, midna_domain_to_ascii(name))
}

/// A domain name in UTF-8; what has more than ASCII already is not looked at.
fn domain_to_utf8(name: &[u8]) -> Option<Vec<u8>> {
    match std::str::from_utf8(name) {
        Ok(text) if text.is_ascii() && !text.is_empty() => {
            checked("domain_to_utf8", name, midna_domain_to_utf8(text))
        }
        _ => Some(name.to_vec()),
    }
}

fn checked(function: &str, name: &[u8], result: Option<String>) -> Option<Vec<u8>> {
    if result.is_none() {
        msg_warn!(
            "bad domain argument in: '{function}{{{}}}'",
            printable(name)
        );
    }
    result.map(String::into_bytes)
}
