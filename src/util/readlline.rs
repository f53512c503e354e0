//! `readlline`: reads logical lines, as in main.cf. The original's `readlline`.
//!
//! A line that starts with white space continues the previous one. Empty lines, lines of
//! white space, and lines that start with `#`, also after white space, are skipped, also
//! between continuation lines.

use super::printable::printable;
use super::strtol::{is_space, skip_space};
use crate::msg_warn;

/// One logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalLine {
    /// Number of its first line, from 1.
    pub lineno: usize,
    /// Its lines, joined without newlines.
    pub text: Vec<u8>,
}

/// Iterates over the logical lines of a file.
#[derive(Clone, Debug)]
pub struct LogicalLines<'a> {
    path: &'a str,
    rest: &'a [u8],
    /// Number of lines that have been read.
    lines: usize,
    warn_null: bool,
}

/// Returns the logical lines of `content`, the content of the file `path`. A first
/// line that starts with white space is left out, with a warning. With `warn_null`
/// a null byte is logged as a warning, also in a comment.
/// The original's `readllines()`: an iterator, not a call for each line.
pub fn readllines<'a>(path: &'a str, content: &'a [u8], warn_null: bool) -> LogicalLines<'a> {
    LogicalLines {
        path,
        rest: content,
        lines: 0,
        warn_null,
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        let line = self.read()?;
        if !is_space(line.text[0]) {
            return Some(line);
        }
        let text = line.text.split(|&c| c == 0).next().unwrap_or_default();
        let (head, more) = match text.get(..30) {
            Some(head) if text.len() > 30 => (head, "..."),
            _ => (text, ""),
        };
        msg_warn!(
            "{}: logical line must not start with whitespace: \"{}{more}\"",
            self.path,
            printable(head)
        );
        self.read()
    }
}

impl<'a> LogicalLines<'a> {
    /// Reads a logical line, and the lines to skip after it.
    fn read(&mut self) -> Option<LogicalLine> {
        let mut text = Vec::new();
        let mut first = None;
        let mut null = false;
        while text.is_empty() || matches!(self.rest.first(), Some(&c) if c == b'#' || is_space(c)) {
            let Some(line) = self.read_line() else { break };
            null |= line.contains(&0);
            if !matches!(skip_space(line).first(), None | Some(b'#')) {
                text.extend_from_slice(line);
                first.get_or_insert(self.lines);
            }
        }
        let lineno = first.unwrap_or(self.lines);
        if null && self.warn_null {
            self.warn_null_byte(lineno);
        }
        first.map(|lineno| LogicalLine { lineno, text })
    }

    /// Reads one line, without its newline.
    fn read_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&c| c == b'\n');
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        self.lines += 1;
        Some(line)
    }

    fn warn_null_byte(&self, first: usize) {
        let lines = match first < self.lines {
            true => format!("{first}-{}", self.lines),
            false => first.to_string(),
        };
        msg_warn!(
            "{}, line {lines}: text after null byte may be ignored",
            self.path
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &str) -> Vec<(usize, String)> {
        readllines("main.cf", content.as_bytes(), false)
            .map(|line| (line.lineno, String::from_utf8(line.text).unwrap()))
            .collect()
    }

    #[test]
    fn white_space_continues_a_line() {
        assert_eq!(
            lines("a = 1\n  2\n\t3\nb = 4"),
            [(1, "a = 1  2\t3".into()), (4, "b = 4".into())]
        );
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_also_in_between() {
        assert_eq!(
            lines("\n# x\n  # y\na\n\n#z\n  b\n \t\r\n\x0b#c\n d\ne\n"),
            [(4, "a  b d".into()), (11, "e".into())]
        );
    }

    #[test]
    fn a_first_line_that_continues_nothing_is_left_out() {
        assert_eq!(lines(" a\n#c\n b\nc\n"), [(4, "c".into())]);
        assert_eq!(lines("\n  a\n"), []);
    }
}
