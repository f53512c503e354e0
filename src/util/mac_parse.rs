//! `mac_parse`: finds the `$name` expressions in a text. The original's
//! `mac_parse`.
//!
//! `$name`, `${...}` and `$(...)` are expressions, `$$` is a dollar, the rest is
//! literal text. The text inside an expression is parsed by
//! [`mac_expand`](super::mac_expand). Errors are logged, see [`MacError`].

use super::printable::printable;
use crate::msg_warn;

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPiece<'a> {
    /// Literal text.
    Literal(&'a [u8]),
    /// A name, or the text between parentheses or braces.
    Expr(&'a [u8]),
}

/// The reason why a text could not be parsed or expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacError {
    /// The error has been logged.
    Logged,
    /// The program should end with this message, which has not been logged.
    Fatal(String),
}

/// Calls `action` for each piece of `text`, in order, until there is a syntax
/// error, which is logged, or the action fails. The original's `mac_parse()`.
///
/// As in the C program, an action that has failed is called again, for literal text
/// and unbraced names, until the next braced expression or the end of the text.
pub fn mac_parse(
    text: &[u8],
    action: &mut dyn FnMut(MacPiece<'_>) -> Result<(), MacError>,
) -> Result<(), MacError> {
    let mut good = true;
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.iter().position(|&c| c == b'$') {
        literal.extend_from_slice(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if rest.first() == Some(&b'$') {
            literal.push(b'$');
            rest = &rest[1..];
            continue;
        }
        if !literal.is_empty() {
            good &= is_good(action(MacPiece::Literal(&literal)))?;
            literal.clear();
        }
        let braced = matches!(rest.first(), Some(b'{' | b'('));
        let end = if braced {
            balanced(rest)
        } else {
            Some(name_length(rest))
        };
        let Some(end) = end else {
            msg_warn!("truncated macro reference: \"{}\"", printable(text));
            return Err(MacError::Logged);
        };
        if braced && !good {
            return Err(MacError::Logged);
        }
        let expr;
        (expr, rest) = rest.split_at(end);
        let expr = if braced { inner(expr) } else { expr };
        if expr.is_empty() {
            msg_warn!("empty macro name: \"{}\"", printable(text));
            return Err(MacError::Logged);
        }
        good &= is_good(action(MacPiece::Expr(expr)))?;
    }
    if !good {
        return Err(MacError::Logged);
    }
    literal.extend_from_slice(rest);
    if !literal.is_empty() {
        action(MacPiece::Literal(&literal))?;
    }
    Ok(())
}

/// Returns false if an error was logged. Fails if the error ends the program.
pub(super) fn is_good(result: Result<(), MacError>) -> Result<bool, MacError> {
    match result {
        Ok(()) => Ok(true),
        Err(MacError::Logged) => Ok(false),
        Err(MacError::Fatal(text)) => Err(MacError::Fatal(text)),
    }
}

/// The length of the name at the beginning of `text`.
pub(super) fn name_length(text: &[u8]) -> usize {
    text.iter()
        .take_while(|c| c.is_ascii_alphanumeric() || **c == b'_')
        .count()
}

/// The length of `text` from its first byte, a parenthesis or brace, to the
/// matching one, both included. None if there is no matching one.
fn balanced(text: &[u8]) -> Option<usize> {
    let open = *text.first()?;
    let close = if open == b'(' { b')' } else { b'}' };
    let mut depth = 0;
    for (i, &c) in text.iter().enumerate() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(i + 1);
            }
        }
    }
    None
}

/// The text without its first and last byte, a pair of parentheses or braces.
fn inner(text: &[u8]) -> &[u8] {
    &text[1..text.len() - 1]
}

/// Splits `text`, which starts with a brace, into the text between braces, and the
/// rest without leading blanks. The original's `mac_exp_extract_curly_payload()`.
pub(super) fn braced(text: &[u8]) -> Result<(&[u8], &[u8]), MacError> {
    let Some(end) = balanced(text) else {
        msg_warn!(
            "unbalanced {{}} in attribute expression: \"{}\"",
            printable(text)
        );
        return Err(MacError::Logged);
    };
    let (text, rest) = text.split_at(end);
    Ok((inner(text), skip_blanks(rest)))
}

pub(super) fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n'))
        .count();
    &text[blanks..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Result<Vec<String>, MacError> {
        let mut found = Vec::new();
        mac_parse(text.as_bytes(), &mut |piece| {
            let (kind, text) = match piece {
                MacPiece::Literal(text) => ("", text),
                MacPiece::Expr(text) => ("$", text),
            };
            found.push(format!("{kind}{}", std::str::from_utf8(text).unwrap()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn a_text_is_literals_and_expressions() {
        assert_eq!(
            pieces("a$b.c${d?{e}}$(f)$$g").unwrap(),
            ["a", "$b", ".c", "$d?{e}", "$f", "$g"]
        );
        assert_eq!(pieces("$$$a").unwrap(), ["$", "$a"]);
        assert_eq!(pieces("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn parentheses_count_only_themselves() {
        assert_eq!(pieces("$(a?{b)})").unwrap(), ["$a?{b", "})"]);
        assert_eq!(pieces("${a)(b}").unwrap(), ["$a)(b"]);
        assert_eq!(pieces("$((a))").unwrap(), ["$(a)"]);
    }

    #[test]
    fn incomplete_expressions_are_errors() {
        for text in ["$", "$ a", "$-", "${", "${a", "${a{}", "$(a}", "${}", "$()"] {
            assert_eq!(pieces(text), Err(MacError::Logged), "{text}");
        }
    }

    #[test]
    fn an_action_that_failed_is_called_again_for_unbraced_names() {
        let mut calls = Vec::new();
        let result = mac_parse(b"$a-$b${c}$d", &mut |piece| {
            calls.push(format!("{piece:?}"));
            match piece {
                MacPiece::Literal(_) => Ok(()),
                _ => Err(MacError::Logged),
            }
        });
        assert_eq!(result, Err(MacError::Logged));
        assert_eq!(calls.len(), 3);
    }

    #[test]
    fn an_action_that_ends_the_program_is_the_last_one() {
        let mut calls = 0;
        let fatal = MacError::Fatal("text".into());
        let result = mac_parse(b"$a-$b$-", &mut |_| {
            calls += 1;
            Err(fatal.clone())
        });
        assert_eq!((result, calls), (Err(fatal), 1));
    }
}
