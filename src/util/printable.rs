//! `printable`: text from outside, made fit for a log line.
//!
//! Names and values are byte strings chosen by somebody else. [`printable`]
//! shows one inside a message, [`printable_text`] is the last gate that every
//! message passes.

use std::fmt::{self, Write};

/// Shows a byte string inside a message; bytes that are not UTF-8 become `?`.
pub fn printable(bytes: &[u8]) -> impl fmt::Display + '_ {
    Printable(bytes)
}

/// Replaces what is not printable by `?`: with `utf8`, control characters;
/// without, each byte outside printable ASCII. The original's `printable()`.
pub fn printable_text(text: &str, utf8: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            _ if c.is_ascii() => line.push('?'),
            _ if utf8 => line.push(c),
            _ => line.extend(std::iter::repeat_n('?', c.len_utf8())),
        }
    }
    line
}

struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for _ in chunk.invalid() {
                f.write_char('?')?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_that_is_no_utf8_becomes_a_question_mark() {
        assert_eq!(printable(b"e\xc3\xa9\xff\x80x").to_string(), "e\u{e9}??x");
    }

    #[test]
    fn control_characters_never_pass() {
        assert_eq!(printable_text("a\tb\u{e9}\x7f", true), "a?b\u{e9}?");
        assert_eq!(printable_text("a\tb\u{e9}\x7f", false), "a?b???");
    }
}
