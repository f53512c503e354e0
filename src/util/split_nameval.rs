//! `split_nameval`: splits "name = value".

use super::strtol::{is_space, skip_space, trim_end};

/// Returns name and value without the blanks around them. A name has no blanks
/// inside; a value may have, and may be empty. The error is the missing part, as
/// text for a message. The original's `split_nameval()`.
///
/// ```
/// use scache::util::split_nameval::split_nameval;
/// assert_eq!(split_nameval(b" a = b c "), Ok((&b"a"[..], &b"b c"[..])));
/// assert_eq!(split_nameval(b"a b = c"), Err("missing '=' after attribute name"));
/// assert_eq!(split_nameval(b"= c"), Err("missing attribute name"));
/// ```
pub fn split_nameval(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let line = skip_space(line);
    let end = line
        .iter()
        .position(|&c| c == b'=' || is_space(c))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return Err("missing attribute name");
    }
    match skip_space(rest).split_first() {
        Some((b'=', value)) => Ok((name, trim_end(skip_space(value)))),
        _ => Err("missing '=' after attribute name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_name_and_value_are_removed() {
        let expected = Ok((&b"a"[..], &b"x  y"[..]));
        assert_eq!(split_nameval(b"a=x  y"), expected);
        assert_eq!(split_nameval(b"\x0ba\x0b=\t\x0bx  y\r\n"), expected);
        assert_eq!(split_nameval(b"a="), Ok((&b"a"[..], &b""[..])));
        assert_eq!(split_nameval(b"a=b=c"), Ok((&b"a"[..], &b"b=c"[..])));
    }

    #[test]
    fn the_error_names_the_missing_part() {
        let no_equals = Err("missing '=' after attribute name");
        assert_eq!(split_nameval(b"a"), no_equals);
        assert_eq!(split_nameval(b"a b=c"), no_equals);
        assert_eq!(split_nameval(b" = c"), Err("missing attribute name"));
        assert_eq!(split_nameval(b""), Err("missing attribute name"));
    }
}
