//! `printable`: byte strings from other programs, in messages.
//!
//! [`printable`] formats a byte string as part of a message. [`printable_text`]
//! replaces unsafe characters, in each message before it is logged.

use std::fmt::{self, Write};

/// Formats a byte string; bytes that are not valid UTF-8 become `?`.
pub fn printable(bytes: &[u8]) -> impl fmt::Display + '_ {
    Printable(bytes)
}

/// Replaces unsafe characters by `?`. With `utf8` these are control characters, line and
/// paragraph separators, and characters that change the direction of the text. Without
/// it, each byte that is not printable ASCII is replaced.
/// The original's `printable()`: also replaces unsafe characters that are not ASCII.
pub fn printable_text(text: &str, utf8: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => line.push(c),
            _ if utf8 && is_unsafe(c) => line.push('?'),
            _ if utf8 => line.push(c),
            _ => line.extend(std::iter::repeat_n('?', c.len_utf8())),
        }
    }
    line
}

/// Returns true if a character changes how a terminal shows other characters.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    fn each_byte_that_is_not_utf8_becomes_a_question_mark() {
        assert_eq!(printable(b"e\xc3\xa9\xff\x80x").to_string(), "e\u{e9}??x");
    }

    #[test]
    fn control_characters_never_pass() {
        assert_eq!(printable_text("a\tb\u{e9}\x7f", true), "a?b\u{e9}?");
        assert_eq!(printable_text("a\tb\u{e9}\x7f", false), "a?b???");
        assert_eq!(printable_text("\u{80}\u{9f}\u{a0}", true), "??\u{a0}");
    }

    #[test]
    fn separators_and_changes_of_direction_never_pass() {
        let bad = "\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";
        assert_eq!(printable_text(bad, true), "??????");
        let good = "\u{2027}\u{202f}\u{2065}\u{206a}";
        assert_eq!(printable_text(good, true), good);
    }
}
