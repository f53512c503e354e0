//! `mac_expand`: replaces `$name` expressions by their values.
//!
//! | written | becomes |
//! |---|---|
//! | `$name`, `${name}`, `$(name)` | the value, itself expanded; nothing for an unknown name |
//! | `${name?text}`, `${name?{text}}` | the text, expanded, when the value is not empty |
//! | `${name:text}`, `${name:{text}}` | the text, expanded, when the value is empty or unknown |
//! | `${name?{text}:{text}}` | the one or the other |
//! | `${{left}==right...}` | with `== != < <= >= >` between two braced texts, instead of a name: `true` or nothing |
//!
//! Both sides of a relational expression are expanded first. They compare as
//! numbers when both are all digits, otherwise byte by byte. An operator may
//! have a suffix that selects another comparison, see [`MacRelop`].
//!
//! Whether a value is empty is decided before it is expanded.
//!
//! The original counts the nesting of macro calls anew for each side of a
//! relational expression, and runs out of stack when a macro calls itself
//! there. Here the count goes on.

use std::cmp::Ordering;

use super::mac_parse::{balanced, inner, mac_parse, name_length, MacParseError, MacPiece};
use super::printable::printable;
use super::strtol::strtol;
use crate::msg_warn;

/// Deeper than this is unreasonable.
const NESTING_LIMIT: u32 = 100;

/// How much of the text behind an error its message shows.
const CONTEXT_LIMIT: usize = 20;

/// A comparison that an operator's suffix selects. Nothing when it makes no
/// sense, after logging why.
pub type MacRelop = fn(left: &[u8], right: &[u8]) -> Option<Ordering>;

/// Why a text could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacError {
    /// It is wrong in a way that has been logged.
    Logged,
    /// The program should end with this message.
    Fatal(String),
}

/// Knows what names and operator suffixes stand for.
#[derive(Clone, Copy)]
pub struct MacExpand<'a> {
    lookup: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
    relops: &'a [(&'a str, MacRelop)],
}

impl<'a> MacExpand<'a> {
    /// `lookup` finds the value of a name, `relops` are the suffixes that
    /// relational operators may have.
    pub fn new(
        lookup: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
        relops: &'a [(&'a str, MacRelop)],
    ) -> Self {
        MacExpand { lookup, relops }
    }

    /// Expands `text`.
    pub fn expand(&self, text: &[u8]) -> Result<Vec<u8>, MacError> {
        let mut run = Run {
            names: *self,
            level: 0,
            operands: 0,
            too_deep: false,
            fatal: None,
            result: Vec::new(),
        };
        match run.expand(text) {
            Ok(()) => Ok(run.result),
            Err(MacParseError) => Err(run.fatal.map_or(MacError::Logged, MacError::Fatal)),
        }
    }
}

/// One expansion under way.
struct Run<'a> {
    names: MacExpand<'a>,
    /// How deep we are in macros that call macros. As in the original, each
    /// time that is too deep counts as one level more from then on.
    level: u32,
    /// How deep we are in sides of relational expressions.
    operands: u32,
    too_deep: bool,
    fatal: Option<String>,
    result: Vec<u8>,
}

/// What an expression says before its `?` or `:`.
struct Condition<'a> {
    /// The text to expand when neither follows.
    value: &'a [u8],
    holds: bool,
    /// What follows, starting with `?` or `:`, or empty.
    rest: &'a [u8],
}

impl<'a> Run<'a> {
    /// Expands `text` behind what there is.
    fn expand(&mut self, text: &[u8]) -> Result<(), MacParseError> {
        let mut failed = false;
        mac_parse(text, &mut |piece| {
            let (MacPiece::Literal(buf) | MacPiece::Expr(buf)) = piece;
            if self.level > NESTING_LIMIT {
                msg_warn!("unreasonable macro call nesting: \"{}\"", printable(buf));
                self.level += 1;
                self.too_deep = true;
                failed = true;
            }
            if failed {
                return Err(MacParseError);
            }
            match piece {
                MacPiece::Literal(text) => self.result.extend_from_slice(text),
                MacPiece::Expr(text) => self.expand_expr(text).inspect_err(|_| failed = true)?,
            }
            Ok(())
        })
    }

    /// Expands what a macro stands for.
    fn expand_nested(&mut self, text: &[u8]) -> Result<(), MacParseError> {
        self.level += 1;
        let status = self.expand(text);
        self.level -= 1;
        status
    }

    /// Expands one side of a relational expression, apart from the rest.
    fn expand_operand(&mut self, text: &[u8]) -> (Vec<u8>, Result<(), MacParseError>) {
        let result = std::mem::take(&mut self.result);
        let level = self.level;
        self.operands += 1;
        let status = self.expand(text);
        self.operands -= 1;
        if self.operands == 0 {
            self.level = level;
        }
        (std::mem::replace(&mut self.result, result), status)
    }

    /// Expands one expression, what was between the braces.
    fn expand_expr(&mut self, expr: &[u8]) -> Result<(), MacParseError> {
        let expr = skip_blanks(expr);
        let condition = match expr.first() {
            Some(b'{') => self.relational(expr)?,
            _ => self.name(expr)?,
        };
        match condition.rest.split_first() {
            None => self.expand_nested(condition.value),
            Some((b'?', rest)) => self.then_else(condition.holds, rest),
            Some((_, rest)) => self.otherwise(!condition.holds, rest),
        }
    }

    /// Expands what follows a `?` if the condition `holds`, and what follows
    /// the `:` behind it otherwise.
    fn then_else(&mut self, holds: bool, rest: &[u8]) -> Result<(), MacParseError> {
        let start = skip_blanks(rest);
        if start.first() != Some(&b'{') {
            return self.expand_if(holds, rest);
        }
        let (text, rest) = braced(start)?;
        let status = self.expand_if(holds, text);
        let other_status = match rest.split_first() {
            None => Ok(()),
            Some((b':', rest)) => self.otherwise(!holds, rest),
            Some(_) => {
                let left = [text, b"}"].concat();
                Err(bad_syntax(r#"":" expected"#, &left, rest))
            }
        };
        status.and(other_status)
    }

    /// Expands what follows a `:`, the end of every expression, if it is
    /// `chosen`.
    fn otherwise(&mut self, chosen: bool, rest: &[u8]) -> Result<(), MacParseError> {
        let start = skip_blanks(rest);
        if start.first() != Some(&b'{') {
            return self.expand_if(chosen, rest);
        }
        let (text, rest) = braced(start)?;
        let status = self.expand_if(chosen, text);
        if !rest.is_empty() {
            let left = [text, b"}"].concat();
            return Err(bad_syntax("unexpected input", &left, rest));
        }
        status
    }

    fn expand_if(&mut self, chosen: bool, text: &[u8]) -> Result<(), MacParseError> {
        if chosen {
            self.expand_nested(text)
        } else {
            Ok(())
        }
    }

    fn name<'t>(&self, expr: &'t [u8]) -> Result<Condition<'t>, MacParseError>
    where
        'a: 't,
    {
        let (name, rest) = expr.split_at(name_length(expr));
        let next = skip_blanks(rest);
        if !matches!(next.first(), None | Some(b'?' | b':')) {
            return Err(bad_syntax("attribute name syntax error", name, rest));
        }
        let value = (self.names.lookup)(name).unwrap_or_default();
        Ok(Condition {
            value,
            holds: !value.is_empty(),
            rest: next,
        })
    }

    fn relational<'t>(&mut self, expr: &'t [u8]) -> Result<Condition<'t>, MacParseError> {
        let (left, rest) = braced(expr)?;
        let length = rest.iter().take_while(|c| b"<>!=".contains(c)).count();
        let (op, after_op) = rest.split_at(length);
        let holds = relop(op).ok_or_else(|| {
            let left = [left, b"}"].concat();
            let expected = r#""==" or "!="" or "<"" or "<="" or ">="" or ">" expected"#;
            bad_syntax(expected, &left, rest)
        })?;
        let length = after_op
            .iter()
            .take_while(|c| c.is_ascii_alphanumeric())
            .count();
        let (suffix, rest) = after_op.split_at(length);
        let compare = self.comparison(op, suffix)?;
        let right = skip_blanks(rest);
        if right.first() != Some(&b'{') {
            let left = [b"{", left, b"} ", op].concat();
            return Err(bad_syntax(r#""{expression}" expected"#, &left, rest));
        }
        let (right, rest) = braced(right)?;
        let (left, left_status) = self.expand_operand(left);
        if self.too_deep && self.operands > 0 {
            // Or a macro that calls itself on both sides takes forever.
            return Err(MacParseError);
        }
        let (right, right_status) = self.expand_operand(right);
        let order = match compare {
            Some(compare) => compare(&left, &right).ok_or(MacParseError),
            None => compare_values(&left, &right).map_err(|text| {
                self.fatal.get_or_insert(text);
                MacParseError
            }),
        };
        left_status.and(right_status)?;
        let holds = holds(order?);
        if !matches!(rest.first(), None | Some(b'?' | b':')) {
            return Err(bad_syntax(r#""?" or ":" expected"#, b"}", rest));
        }
        Ok(Condition {
            value: if holds { b"true" } else { b"" },
            holds,
            rest,
        })
    }

    /// The comparison that a suffix selects; nothing for no suffix.
    fn comparison(&self, op: &[u8], suffix: &[u8]) -> Result<Option<MacRelop>, MacParseError> {
        if suffix.is_empty() {
            return Ok(None);
        }
        for &(name, compare) in self.names.relops {
            if name.as_bytes() == suffix {
                return Ok(Some(compare));
            }
        }
        msg_warn!(
            "bad operator suffix at: \"...{}>>>{}\"",
            printable(op),
            printable(suffix)
        );
        Err(MacParseError)
    }
}

/// What an operator makes of a comparison.
fn relop(op: &[u8]) -> Option<fn(Ordering) -> bool> {
    match op {
        b"==" => Some(Ordering::is_eq),
        b"!=" => Some(Ordering::is_ne),
        b"<" => Some(Ordering::is_lt),
        b"<=" => Some(Ordering::is_le),
        b">=" => Some(Ordering::is_ge),
        b">" => Some(Ordering::is_gt),
        _ => None,
    }
}

/// Compares as numbers when both are, else as strings. The error is the text
/// of a fatal message.
fn compare_values(left: &[u8], right: &[u8]) -> Result<Ordering, String> {
    let all_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if all_digits(left) && all_digits(right) {
        Ok(to_number(left)?.cmp(&to_number(right)?))
    } else {
        Ok(left.cmp(right))
    }
}

fn to_number(text: &[u8]) -> Result<i64, String> {
    let number = strtol(text);
    if number.overflow {
        return Err(format!("mac_exp_eval: bad conversion: {}", printable(text)));
    }
    Ok(number.value)
}

/// What is between the brace that `text` starts with and its counterpart, and
/// what follows, without blanks.
fn braced(text: &[u8]) -> Result<(&[u8], &[u8]), MacParseError> {
    let Some(end) = balanced(text) else {
        msg_warn!(
            "unbalanced {{}} in attribute expression: \"{}\"",
            printable(text)
        );
        return Err(MacParseError);
    };
    let (text, rest) = text.split_at(end);
    Ok((inner(text), skip_blanks(rest)))
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n'))
        .count();
    &text[blanks..]
}

fn bad_syntax(problem: &str, before: &[u8], after: &[u8]) -> MacParseError {
    let after = &after[..after.len().min(CONTEXT_LIMIT)];
    msg_warn!(
        "{problem} at: \"...{}>>>{}\"",
        printable(before),
        printable(after)
    );
    MacParseError
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &[u8]) -> Option<&'static [u8]> {
        match name {
            b"a" => Some(b"A"),
            b"n" => Some(b"3"),
            b"r" => Some(b"$a-${n}"),
            b"e" => Some(b""),
            b"indirect" => Some(b"$e"),
            b"bad" => Some(b"$-"),
            b"loop" => Some(b"$loop"),
            b"fork" => Some(b"${{$fork}=={$fork}}"),
            _ => None,
        }
    }

    fn by_length(left: &[u8], right: &[u8]) -> Option<Ordering> {
        (!left.is_empty()).then(|| left.len().cmp(&right.len()))
    }

    fn expand(text: &str) -> Result<String, MacError> {
        let result = MacExpand::new(&lookup, &[("len", by_length)]).expand(text.as_bytes())?;
        Ok(String::from_utf8(result).unwrap())
    }

    fn all(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(expand(text).as_deref(), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn names_become_their_values() {
        all(&[
            ("[$a]", "[A]"),
            ("${a}$(a)", "AA"),
            ("${ a }", "A"),
            ("$r!", "A-3!"),
            ("$unknown", ""),
            ("$$a", "$a"),
        ]);
    }

    #[test]
    fn a_condition_chooses_a_text() {
        all(&[
            ("${a?yes}|${e?yes}|${unknown?yes}", "yes||"),
            ("${a:no}|${e:no}|${unknown:no}", "|no|no"),
            ("${a?{yes}:{no}}|${e?{yes}:{no}}", "yes|no"),
            ("${a ? { yes } : {no} }", " yes "),
            ("${a? yes }", " yes "),
            ("${a?yes:no}", "yes:no"),
            ("${e?{yes}: no }", " no "),
            ("${a?$n}${a?{${e:{$n}}}}", "33"),
            ("${:x}", "x"),
        ]);
    }

    #[test]
    fn a_value_is_empty_or_not_before_it_is_expanded() {
        all(&[("${indirect?{y}:{n}}", "y")]);
    }

    #[test]
    fn relational_expressions_compare_numbers_or_strings() {
        all(&[
            ("${{10}>{9}}", "true"),
            ("${{10}>{9a}}", ""),
            ("${{010}=={10}?yes}", "yes"),
            ("${{ 10 }=={10}:no}", "no"),
            ("${ {$n} <= {3} ? {yes} : {no} }", "yes"),
            ("${{a}!={a}?{yes}:{no}}", "no"),
            ("${{b}<{\u{e9}}}", "true"),
        ]);
        assert_eq!(
            expand("${{1}<{99999999999999999999}}"),
            Err(MacError::Fatal(
                "mac_exp_eval: bad conversion: 99999999999999999999".into()
            ))
        );
    }

    #[test]
    fn a_suffix_selects_the_comparison() {
        all(&[("${{b} <len {aa}}", "true"), ("${{b}==len{a}}", "true")]);
        assert_eq!(expand("${{} <len {aa}}"), Err(MacError::Logged));
        assert_eq!(expand("${{b} <lex {aa}}"), Err(MacError::Logged));
        assert_eq!(expand("${{b} < len {aa}}"), Err(MacError::Logged));
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for text in [
            "${a b}",
            "${a-b}",
            "${a?{x}y}",
            "${a?{x}:{y}z}",
            "${a:{x}y}",
            "$(a?{x)",
            "${{a}}",
            "${{a}={a}}",
            "${{a}==={a}}",
            "${{a}==a}",
            "${{a}==}",
            "${{a}=={a}x}",
            "$bad",
            "${a?$bad}",
            "${{$bad}=={x}}",
            "${{x}=={$bad}}",
        ] {
            assert_eq!(expand(text), Err(MacError::Logged), "{text}");
        }
    }

    #[test]
    fn what_is_not_chosen_is_not_expanded() {
        all(&[("${e?{$bad}}${a:{$bad}}", "")]);
    }

    #[test]
    fn nesting_has_a_limit_and_reaching_it_does_not_take_forever() {
        assert_eq!(expand("$loop"), Err(MacError::Logged));
        assert_eq!(expand("$fork"), Err(MacError::Logged));
    }
}
