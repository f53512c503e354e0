//! `mac_expand`: expands `$name` expressions. The original's `mac_expand`.
//!
//! | expression | result |
//! |---|---|
//! | `$name`, `${name}`, `$(name)` | the value, expanded; empty if the name is unknown |
//! | `${name?text}`, `${name?{text}}` | the text, expanded, if the value is not empty |
//! | `${name:text}`, `${name:{text}}` | the text, expanded, if the value is empty or unknown |
//! | `${name?{text}:{text}}` | the first or the second text, expanded |
//! | `${name{text}}` | the result of a function for the text, expanded; only if there are functions |
//! | `${{left}==right...}` | with `== != < <= >= >` between two braced texts, instead of a name: `true` or empty |
//!
//! Both sides of a relational expression are expanded first. They compare as
//! numbers if both consist of digits, otherwise byte by byte. An operator may
//! have a suffix that selects another comparison, see [`MacRelop`]. A value is
//! tested for being empty before it is expanded.
//!
//! The nesting of macro calls is counted from zero on each side of a relational
//! expression and in the text of a function. The nesting of such sides and texts is
//! limited, too. In the C program it is not, and a macro that calls itself in one of
//! them uses up the stack.
//!
//! A syntax error is logged, and the expansion fails with [`MacError`].

use super::mac_parse::{braced, is_good, mac_parse, name_length, skip_blanks, MacPiece};
use super::mac_relop::{compare_values, relop, MacRelop};
use super::printable::printable;
use super::strtol::trim_end;
use crate::msg_warn;

pub use super::mac_parse::MacError;

/// Maximum nesting of macro calls.
const NESTING_LIMIT: u32 = 100;

/// Maximum nesting of macro calls around a side of a relational expression, or
/// around the text of a function.
const OUTER_NESTING_LIMIT: u32 = 300;

/// Maximum length of the text after an error that its message shows, in bytes.
const CONTEXT_LIMIT: usize = 20;

/// A function of a text.
pub type MacFunction = fn(text: Vec<u8>) -> Vec<u8>;

/// The names, operator suffixes and functions that expressions can use.
#[derive(Clone, Copy)]
pub struct MacExpand<'a> {
    lookup: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
    relops: &'a [(&'a str, MacRelop)],
    functions: &'a [(&'a str, MacFunction)],
}

impl<'a> MacExpand<'a> {
    /// `lookup` returns the value of a name. `relops` are suffixes of relational
    /// operators.
    /// The original's `mac_expand_add_relop()` and `mac_expand_add_named_fn()`: there
    /// are no global tables.
    pub fn new(
        lookup: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
        relops: &'a [(&'a str, MacRelop)],
        functions: &'a [(&'a str, MacFunction)],
    ) -> Self {
        MacExpand {
            lookup,
            relops,
            functions,
        }
    }

    /// Expands a text. The original's `mac_expand()`.
    pub fn expand(&self, text: &[u8]) -> Result<Vec<u8>, MacError> {
        let mut run = Run {
            names: *self,
            level: 0,
            outer_level: 0,
            result: Vec::new(),
        };
        run.expand(text)?;
        Ok(run.result)
    }
}

/// The state of an expansion.
struct Run<'a> {
    names: MacExpand<'a>,
    /// Nesting of macro calls. As in the C program, a piece that cannot be expanded
    /// adds one level for the rest of the text.
    level: u32,
    /// Nesting around a text that is expanded separately.
    outer_level: u32,
    result: Vec<u8>,
}

/// The part of an expression before its `?` or `:`.
struct Condition<'a> {
    /// The text to expand if neither follows.
    value: &'a [u8],
    is_true: bool,
    /// The rest of the expression, from the `?` or `:`, or empty.
    rest: &'a [u8],
}

impl<'a> Run<'a> {
    /// Expands a text, and appends it to the result.
    fn expand(&mut self, text: &[u8]) -> Result<(), MacError> {
        let mut good = true;
        mac_parse(text, &mut |piece| {
            let (MacPiece::Literal(buf) | MacPiece::Expr(buf)) = piece;
            if self.level > NESTING_LIMIT {
                msg_warn!("unreasonable macro call nesting: \"{}\"", printable(buf));
                good = false;
            }
            self.level += 1;
            if !good {
                return Err(MacError::Logged);
            }
            match piece {
                MacPiece::Literal(text) => self.result.extend_from_slice(text),
                MacPiece::Expr(text) => {
                    good = false;
                    good = self.expand_expr(text)?;
                }
            }
            self.level -= 1;
            if_good(good)
        })
    }

    /// Expands a side of a relational expression, or the text of a function,
    /// separately. Also returns whether all of it could be expanded.
    fn expand_separately(&self, text: &[u8]) -> Result<(Vec<u8>, bool), MacError> {
        let outer_level = self.outer_level + self.level;
        if outer_level > OUTER_NESTING_LIMIT {
            let text = printable(&text[..text.len().min(CONTEXT_LIMIT)]);
            let text = format!("unreasonable macro call nesting: \"{text}\"");
            return Err(MacError::Fatal(text));
        }
        let mut run = Run {
            names: self.names,
            level: 0,
            outer_level,
            result: Vec::new(),
        };
        let good = is_good(run.expand(text))?;
        Ok((run.result, good))
    }

    /// Expands the text between the braces of an expression. Fails if its syntax is
    /// wrong. Returns false if an expression within it could not be expanded.
    /// The original's `mac_expand_callback()`: the part for expressions.
    fn expand_expr(&mut self, expr: &[u8]) -> Result<bool, MacError> {
        let start = skip_blanks(expr);
        let condition = match start.first() {
            Some(b'{') => self.parse_relational(start)?,
            _ if self.is_function(start) => return self.parse_function(start),
            _ => self.parse_name(expr)?,
        };
        match condition.rest.split_first() {
            None => is_good(self.expand(condition.value)),
            Some((b'?', rest)) => self.then_else(condition.is_true, rest),
            Some((_, rest)) => self.expand_last(!condition.is_true, rest),
        }
    }

    /// Expands the text after a `?` if the condition `is_true`, otherwise the text
    /// after the `:`.
    fn then_else(&mut self, is_true: bool, rest: &[u8]) -> Result<bool, MacError> {
        let start = skip_blanks(rest);
        if start.first() != Some(&b'{') {
            return self.expand_if(is_true, rest);
        }
        let (text, rest) = braced(start)?;
        let good = self.expand_if(is_true, text)?;
        match rest.split_first() {
            None => Ok(good),
            Some((b':', rest)) => Ok(self.expand_last(!is_true, rest)? && good),
            Some(_) => {
                let left = [text, b"}"].concat();
                Err(bad_syntax(r#"":" expected"#, &left, rest))
            }
        }
    }

    /// Expands the last text of an expression, the one after a `:`, if `chosen`.
    fn expand_last(&mut self, chosen: bool, rest: &[u8]) -> Result<bool, MacError> {
        let start = skip_blanks(rest);
        if start.first() != Some(&b'{') {
            return self.expand_if(chosen, rest);
        }
        let (text, rest) = braced(start)?;
        let good = self.expand_if(chosen, text)?;
        if !rest.is_empty() {
            let left = [text, b"}"].concat();
            return Err(bad_syntax("unexpected input", &left, rest));
        }
        Ok(good)
    }

    fn expand_if(&mut self, chosen: bool, text: &[u8]) -> Result<bool, MacError> {
        if chosen {
            is_good(self.expand(text))
        } else {
            Ok(true)
        }
    }

    /// Returns true if an expression is a name followed by a text in braces, and
    /// there are functions.
    fn is_function(&self, expr: &[u8]) -> bool {
        let next = skip_blanks(&expr[name_length(expr)..]).first();
        next == Some(&b'{') && !self.names.functions.is_empty()
    }

    /// Calls a function. The original's `mac_exp_parse_function()`.
    fn parse_function(&mut self, expr: &[u8]) -> Result<bool, MacError> {
        let (name, rest) = expr.split_at(name_length(expr));
        let (text, rest) = braced(skip_blanks(rest))?;
        let text = trim_end(skip_blanks(text));
        // As in the C program, a vertical tab or form feed may follow an empty text.
        let rest = if text.is_empty() {
            trim_end(rest)
        } else {
            rest
        };
        if !rest.is_empty() {
            let left = [text, b"}"].concat();
            return Err(bad_syntax("unexpected input", &left, rest));
        }
        let known = self.names.functions.iter();
        let Some((_, function)) = known.copied().find(|(known, _)| known.as_bytes() == name) else {
            let (name, text) = (printable(name), printable(text));
            msg_warn!("unknown function \"{name}\" at\"...>>>{name}{{{text}}}\"");
            return Err(MacError::Logged);
        };
        let (text, good) = self.expand_separately(text)?;
        if_good(good)?;
        self.result.extend(function(text));
        Ok(true)
    }

    fn parse_name<'t>(&self, expr: &'t [u8]) -> Result<Condition<'t>, MacError>
    where
        'a: 't,
    {
        let start = skip_blanks(expr);
        let (name, rest) = start.split_at(name_length(start));
        let next = skip_blanks(rest);
        if !matches!(next.first(), None | Some(b'?' | b':')) {
            let before = &expr[..expr.len() - rest.len()];
            return Err(bad_syntax("attribute name syntax error", before, rest));
        }
        let value = (self.names.lookup)(name).unwrap_or_default();
        Ok(Condition {
            value,
            is_true: !value.is_empty(),
            rest: next,
        })
    }

    /// Evaluates a relational expression.
    /// The original's `mac_exp_parse_relational()`.
    fn parse_relational<'t>(&mut self, expr: &'t [u8]) -> Result<Condition<'t>, MacError> {
        let (left, rest) = braced(expr)?;
        let is_operator = |c: &&u8| b"<>!=?+-*/~&|%".contains(c);
        let length = rest.iter().take_while(is_operator).count();
        let (op, after_op) = rest.split_at(length);
        let operator = relop(op).ok_or_else(|| {
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
        let (left, left_good) = self.expand_separately(left)?;
        let (right, right_good) = self.expand_separately(right)?;
        let order = match compare {
            Some(compare) => compare(&left, &right),
            None => Some(compare_values(&left, &right)?),
        };
        if_good(left_good && right_good)?;
        let is_true = operator(order.ok_or(MacError::Logged)?);
        if !matches!(rest.first(), None | Some(b'?' | b':')) {
            return Err(bad_syntax(r#""?" or ":" expected"#, b"}", rest));
        }
        Ok(Condition {
            value: if is_true { b"true" } else { b"" },
            is_true,
            rest,
        })
    }

    /// The comparison that a suffix selects. None if the suffix is empty.
    fn comparison(&self, op: &[u8], suffix: &[u8]) -> Result<Option<MacRelop>, MacError> {
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
        Err(MacError::Logged)
    }
}

fn if_good(good: bool) -> Result<(), MacError> {
    good.then_some(()).ok_or(MacError::Logged)
}

/// Logs a syntax error. The original's `mac_exp_parse_error()`.
fn bad_syntax(problem: &str, before: &[u8], after: &[u8]) -> MacError {
    let after = &after[..after.len().min(CONTEXT_LIMIT)];
    msg_warn!(
        "{problem} at: \"...{}>>>{}\"",
        printable(before),
        printable(after)
    );
    MacError::Logged
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

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

    fn twice(text: Vec<u8>) -> Vec<u8> {
        text.repeat(2)
    }

    fn expand(text: &str) -> Result<String, MacError> {
        let relops: &[(&str, MacRelop)] = &[("len", by_length)];
        let result =
            MacExpand::new(&lookup, relops, &[("twice", twice)]).expand(text.as_bytes())?;
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
    fn a_function_is_called_with_the_expanded_text() {
        all(&[
            ("<${twice{b$a}}>", "<bAbA>"),
            ("$( twice\t{ ${twice{b}} } )", "bbbb"),
            ("${twice}", ""),
            ("${twice{}}", ""),
        ]);
        for text in ["${twice{$bad}}", "${twice{a}?b}", "${once{a}}", "${-{a}}"] {
            assert_eq!(expand(text), Err(MacError::Logged), "{text}");
        }
        let none = MacExpand::new(&lookup, &[], &[]).expand(b"${twice{a}}");
        assert_eq!(none, Err(MacError::Logged));
    }

    #[test]
    fn bad_syntax_is_an_error() {
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
    fn the_other_text_is_not_expanded() {
        all(&[("${e?{$bad}}${a:{$bad}}", "")]);
    }

    #[test]
    fn nesting_has_a_limit_and_reaching_it_does_not_take_forever() {
        assert_eq!(expand("$loop"), Err(MacError::Logged));
        let text = "unreasonable macro call nesting: \"$fork\"";
        assert_eq!(expand("$fork"), Err(MacError::Fatal(text.into())));
    }

    /// A text inside `count` relational expressions.
    fn in_sides(count: usize, text: &str) -> String {
        let (before, after) = ("${{".repeat(count), "}==len{1}}".repeat(count));
        format!("{before}{text}{after}")
    }

    #[test]
    fn sides_of_sides_have_a_limit_too() {
        assert_eq!(expand(&in_sides(300, "$loop")), Err(MacError::Logged));
        for count in [301, 10_000] {
            let result = expand(&in_sides(count, "$loop"));
            assert!(matches!(result, Err(MacError::Fatal(_))), "{result:?}");
        }
    }
}
