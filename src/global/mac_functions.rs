//! The functions that a parameter value can call: `${name{text}}`, since
//! Postfix 3.11.
//!
//! C converts domain names to and from their ASCII form. Here a name remains
//! as it is: scache(8) uses no domain name, it only checks that myhostname and
//! mydomain are in ASCII.

use crate::util::mac_expand::MacFunction;

/// All of them.
pub const MAC_FUNCTIONS: &[(&str, MacFunction)] = &[
    ("domain_to_ascii", unchanged),
    ("domain_to_utf8", unchanged),
];

fn unchanged(name: Vec<u8>) -> Vec<u8> {
    name
}
