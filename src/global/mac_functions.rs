//! `mac_functions`: the functions that a parameter value can call, as
//! `${name{text}}`, since Postfix 3.11.
//!
//! The C program converts domain names to and from their ASCII form. Here a name is
//! returned unchanged: scache(8) uses no domain name, it only checks that
//! myhostname and mydomain are in ASCII.

use crate::util::mac_expand::MacFunction;

/// The names and functions.
pub const MAC_FUNCTIONS: &[(&str, MacFunction)] = &[
    ("domain_to_ascii", unchanged),
    ("domain_to_utf8", unchanged),
];

fn unchanged(name: Vec<u8>) -> Vec<u8> {
    name
}
