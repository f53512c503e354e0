//! `readlline`: logical lines, as in main.cf.
//!
//! A line that starts with white space continues the one before it. Empty
//! lines, lines of white space, and lines whose first other character is `#`
//! do not exist, not even between continuation lines.

use super::printable::printable;
use super::strtol::{is_space, skip_space};
use crate::msg_warn;

/// One logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalLine {
    /// The number of its first line, from 1.
    pub lineno: usize,
    /// Its lines, without newlines, one behind the other.
    pub text: Vec<u8>,
}

/// The logical lines of `content`, what was read from the file `path`. White
/// space before the first line has nothing to continue: such a logical line
/// is left out, with a warning.
pub fn readllines(path: &str, content: &[u8]) -> Vec<LogicalLine> {
    let mut lines: Vec<LogicalLine> = Vec::new();
    for (line, lineno) in content.split(|&c| c == b'\n').zip(1..) {
        if matches!(skip_space(line).first(), None | Some(b'#')) {
            continue;
        }
        match lines.last_mut() {
            Some(last) if is_space(line[0]) => last.text.extend_from_slice(line),
            _ => lines.push(LogicalLine {
                lineno,
                text: line.to_vec(),
            }),
        }
    }
    if lines.first().is_some_and(|line| is_space(line.text[0])) {
        let line = lines.remove(0);
        let (head, more) = match line.text.get(..30) {
            Some(head) if line.text.len() > 30 => (head, "..."),
            _ => (&line.text[..], ""),
        };
        msg_warn!(
            "{path}: logical line must not start with whitespace: \"{}{more}\"",
            printable(head)
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &str) -> Vec<(usize, String)> {
        readllines("main.cf", content.as_bytes())
            .into_iter()
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
    fn comments_and_blanks_do_not_exist_not_even_in_between() {
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
