//! `midna_domain`: domain names beyond ASCII, and back.
//!
//! Rules that need the tables of Unicode are left out: letters become lower
//! case as Rust has it, and other characters stay as they are, where the
//! original, by the ICU library, maps those that look alike, and refuses those
//! that no name should have.

use super::printable::printable;
use super::punycode;
use crate::msg_warn;

/// What stands before a label that is encoded.
const ACE_PREFIX: &str = "xn--";
const LABEL_LENGTH: usize = 63;
const NAME_LENGTH: usize = 253;

/// How much of a name the log shows, in bytes.
const SHOWN: usize = 100;

/// What can be wrong with a name, in the order in which it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Problem {
    EmptyLabel,
    LabelTooLong,
    NameTooLong,
    LeadingHyphen,
    TrailingHyphen,
    Hyphens,
    Disallowed,
    Punycode,
    InvalidAceLabel,
}

/// A name in ASCII. Nothing, after logging why, when it cannot be one. The
/// original's `midna_domain_to_ascii_create()`.
pub fn midna_domain_to_ascii(name: &[u8]) -> Option<String> {
    let ascii = match std::str::from_utf8(name) {
        Ok(text) => translate(text, true),
        Err(_) => Err("malformed UTF-8".to_string()),
    };
    let ascii = ascii.and_then(|ascii| match is_hostname(&ascii) {
        true => Ok(ascii),
        false => Err("malformed ASCII label(s)".to_string()),
    });
    said("midna_domain_to_ascii_create", name, "ASCII", ascii)
}

/// A name in ASCII as it is shown to people. Nothing, after logging why, when
/// it cannot be one. The original's `midna_domain_to_utf8_create()`.
pub fn midna_domain_to_utf8(name: &str) -> Option<String> {
    let utf8 = translate(name, false);
    let utf8 = said("midna_domain_to_utf8_create", name.as_bytes(), "UTF8", utf8)?;
    midna_domain_to_ascii(utf8.as_bytes()).map(|_| utf8)
}

fn said(who: &str, name: &[u8], form: &str, text: Result<String, String>) -> Option<String> {
    text.map_err(|problem| {
        let name = printable(&name[..name.len().min(SHOWN)]);
        msg_warn!("{who}: Problem translating domain \"{name}\" to {form} form: {problem}");
    })
    .ok()
}

/// Translates label by label. The error is all that is wrong.
fn translate(name: &str, to_ascii: bool) -> Result<String, String> {
    let (mut text, mut problems) = (String::new(), Vec::new());
    let name = lower_case(name);
    let last = name.matches('.').count();
    for (number, label) in name.split('.').enumerate() {
        if number > 0 {
            text.push('.');
        }
        let is_end = number > 0 && number == last;
        if label.is_empty() && !is_end {
            problems.push(Problem::EmptyLabel);
        }
        text += &translate_label(label, to_ascii, &mut problems);
    }
    if to_ascii && text.strip_suffix('.').unwrap_or(&text).len() > NAME_LENGTH {
        problems.push(Problem::NameTooLong);
    }
    if problems.is_empty() {
        return Ok(text);
    }
    problems.sort();
    problems.dedup();
    let names: Vec<&str> = problems.into_iter().map(Problem::name).collect();
    Err(names.join(","))
}

fn translate_label(label: &str, to_ascii: bool, problems: &mut Vec<Problem>) -> String {
    let mut shown = label.to_string();
    if let Some(code) = label.strip_prefix(ACE_PREFIX) {
        match punycode::decode(code) {
            Some(decoded) if is_worth_a_code(&decoded) => shown = decoded,
            Some(_) => {
                problems.push(Problem::InvalidAceLabel);
                return shown;
            }
            None => {
                problems.push(Problem::Punycode);
                return shown;
            }
        }
    } else if !label.is_ascii() && label.chars().any(char::is_control) {
        problems.push(Problem::Disallowed);
    }
    look_at_hyphens(&shown, problems);
    if !to_ascii {
        return shown;
    }
    let ascii = match label.is_ascii() {
        true => Some(label.to_string()),
        false => punycode::encode(label).map(|code| ACE_PREFIX.to_string() + &code),
    };
    let ascii = ascii.filter(|ascii| ascii.len() <= LABEL_LENGTH);
    if ascii.is_none() {
        problems.push(Problem::LabelTooLong);
    }
    ascii.unwrap_or_default()
}

fn lower_case(name: &str) -> String {
    let lower = name.chars().flat_map(char::to_lowercase);
    lower
        .map(|c| match c {
            '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => '.',
            c => c,
        })
        .collect()
}

/// Whether what was decoded could not have been written without a code.
fn is_worth_a_code(label: &str) -> bool {
    !label.is_ascii() && lower_case(label) == label && !label.chars().any(char::is_control)
}

fn look_at_hyphens(label: &str, problems: &mut Vec<Problem>) {
    if label.starts_with('-') {
        problems.push(Problem::LeadingHyphen);
    }
    if label.ends_with('-') {
        problems.push(Problem::TrailingHyphen);
    }
    if label.chars().skip(2).take(2).eq("--".chars()) {
        problems.push(Problem::Hyphens);
    }
}

/// Whether a name whose labels are in order has no other characters than the
/// name of a host.
fn is_hostname(name: &str) -> bool {
    let is_numeric = name.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let is_fit = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    !is_numeric && !name.ends_with('.') && name.bytes().all(is_fit)
}

impl Problem {
    /// As the ICU library names it.
    fn name(self) -> &'static str {
        match self {
            Problem::EmptyLabel => "UIDNA_ERROR_EMPTY_LABEL",
            Problem::LabelTooLong => "UIDNA_ERROR_LABEL_TOO_LONG",
            Problem::NameTooLong => "UIDNA_ERROR_DOMAIN_NAME_TOO_LONG",
            Problem::LeadingHyphen => "UIDNA_ERROR_LEADING_HYPHEN",
            Problem::TrailingHyphen => "UIDNA_ERROR_TRAILING_HYPHEN",
            Problem::Hyphens => "UIDNA_ERROR_HYPHEN_3_4",
            Problem::Disallowed => "UIDNA_ERROR_DISALLOWED",
            Problem::Punycode => "UIDNA_ERROR_PUNYCODE",
            Problem::InvalidAceLabel => "UIDNA_ERROR_INVALID_ACE_LABEL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_label_by_label() {
        for (name, ascii) in [
            ("\u{c9}.Com", "xn--9ca.com"),
            ("\u{e9}.XN--BCHER-KVA", "xn--9ca.xn--bcher-kva"),
            (
                "\u{4f8b}\u{3048}\u{3002}\u{30c6}\u{30b9}\u{30c8}",
                "xn--r8jz45g.xn--zckzah",
            ),
            ("\u{e9}_b", "xn--_b-9ia"),
        ] {
            assert_eq!(translate(name, true).as_deref(), Ok(ascii), "{name}");
        }
        let utf8 = midna_domain_to_utf8("XN--bcher-KVA.Example");
        assert_eq!(utf8.as_deref(), Some("b\u{fc}cher.example"));
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        for (name, problem) in [
            ("", "EMPTY_LABEL"),
            (".", "EMPTY_LABEL"),
            ("a..b", "EMPTY_LABEL"),
            ("-a-", "LEADING_HYPHEN,UIDNA_ERROR_TRAILING_HYPHEN"),
            ("ab--c", "HYPHEN_3_4"),
            ("xn--", "INVALID_ACE_LABEL"),
            ("xn--a-", "INVALID_ACE_LABEL"),
            ("xn---", "PUNYCODE"),
            ("a\u{80}", "DISALLOWED"),
            // An E with an accent that is a capital, and an "a\u{80}".
            ("xn--dca", "INVALID_ACE_LABEL"),
            ("xn--a-ba", "INVALID_ACE_LABEL"),
        ] {
            let problem = format!("UIDNA_ERROR_{problem}");
            assert_eq!(translate(name, false), Err(problem), "{name}");
        }
        assert_eq!(translate("a.", false).as_deref(), Ok("a."));
        let long = "a".repeat(LABEL_LENGTH);
        assert_eq!(translate(&long, true), Ok(long.clone()));
        let problem = "UIDNA_ERROR_LABEL_TOO_LONG".to_string();
        assert_eq!(translate(&(long + "a"), true), Err(problem));
        for name in ["a.", "a b", "12", "*"] {
            assert!(!is_hostname(name), "{name}");
        }
    }
}
