//! `mac_parse`: finds the `$name` expressions in a text.
//!
//! `$name`, `${...}` and `$(...)` are expressions, `$$` is a dollar, anything
//! else is itself. What is inside an expression is the business of
//! [`mac_expand`](super::mac_expand).

use super::printable::printable;
use crate::msg_warn;

/// One piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPiece<'a> {
    /// Text that is itself.
    Literal(&'a [u8]),
    /// A name, or what is between the parentheses or braces.
    Expr(&'a [u8]),
}

/// Why a text could not be parsed or expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacError {
    /// It is wrong in a way that has been logged.
    Logged,
    /// The program should end with this message, and say nothing before.
    Fatal(String),
}

/// Calls `action` for each piece of `text`, in order, until something is
/// wrong: with the text, which is logged, or with what the action returns.
///
/// As in the original, an action that fails does not end the loop at once: it
/// is called again for unbraced names until the next braced expression or the
/// end of the text, and must put up with that.
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

/// Whether something went well, where what went wrong does not end the matter
/// at once, unless it ends the program.
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

/// The length of what is between the opening parenthesis or brace that `text`
/// starts with and its counterpart, both included. Nothing when there is no
/// counterpart.
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

/// What [`balanced`] measured, without the first and the last byte.
fn inner(text: &[u8]) -> &[u8] {
    &text[1..text.len() - 1]
}

/// What is between the brace that `text` starts with and its counterpart, and
/// what follows, without blanks.
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
    fn names_do_not_end_in_mid_air() {
        for text in ["$", "$ a", "$-", "${", "${a", "${a{}", "$(a}", "${}", "$()"] {
            assert_eq!(pieces(text), Err(MacError::Logged), "{text}");
        }
    }

    #[test]
    fn after_a_failed_action_only_bare_names_are_still_seen() {
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
