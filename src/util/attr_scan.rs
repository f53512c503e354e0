//! `attr_scan`: reads attribute lists. The original's `attr_scan0`.
//!
//! Bad input is logged as a warning and ends the scan. The result is then the number of
//! attributes before it, or -1 if the list was incomplete or a number malformed.

use super::msg::msg_verbose;
use super::printable::printable;
use super::stream::{NoInput, Stream};
use super::strtol::skip_space;
use crate::{msg_info, msg_warn_client};

/// An expected attribute, and a variable for its value. The original's
/// `RECV_ATTR_INT` and `RECV_ATTR_STR`.
#[derive(Debug)]
pub enum RecvAttr<'a> {
    /// A name and a number.
    Int(&'static str, &'a mut i32),
    /// A name and a string.
    Str(&'static str, &'a mut Vec<u8>),
}

/// The expected end of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrFlag {
    /// The list terminator after the last expected attribute. The original's
    /// `ATTR_FLAG_STRICT`.
    Strict,
    /// The last expected attribute: another scan reads the rest of the list. The
    /// original's `ATTR_FLAG_STRICT | ATTR_FLAG_MORE`.
    StrictMore,
}

/// The name of the list terminator in messages.
const LIST_TERMINATOR: &str = "(list terminator)";

/// The list is incomplete, or a number in it malformed. The warning has been logged.
struct BadList;

/// Scans a list. Returns the number of attributes that were as expected, or -1.
/// The original's `attr_scan0()`.
pub async fn attr_scan(stream: &Stream, flag: AttrFlag, wanted: &mut [RecvAttr<'_>]) -> i32 {
    if !stream.peek().await {
        return 0;
    }
    // For names and numbers; with room for those of a request.
    let mut text = Vec::with_capacity(32);
    attr_vscan0(stream, flag, wanted, &mut text).await
}

/// The original's `attr_vscan0()`.
async fn attr_vscan0(
    stream: &Stream,
    flag: AttrFlag,
    wanted: &mut [RecvAttr<'_>],
    text: &mut Vec<u8>,
) -> i32 {
    let mut conversions = 0;
    for attr in wanted {
        let (RecvAttr::Int(name, _) | RecvAttr::Str(name, _)) = *attr;
        match scan_name(stream, name, text).await {
            Ok(true) => {}
            Ok(false) => return conversions,
            Err(BadList) => return -1,
        }
        let scanned = match attr {
            RecvAttr::Int(_, number) => attr_scan0_number(stream, number, text).await,
            RecvAttr::Str(_, string) => attr_scan0_string(stream, string, "value").await,
        };
        if scanned.is_err() {
            return -1;
        }
        conversions += 1;
    }
    if flag == AttrFlag::Strict && scan_name(stream, LIST_TERMINATOR, text).await.is_err() {
        return -1;
    }
    conversions
}

/// Scans a name, or the list terminator. Logs a warning and returns false if it is
/// not the wanted one.
async fn scan_name(stream: &Stream, wanted: &str, text: &mut Vec<u8>) -> Result<bool, BadList> {
    if msg_verbose() > 0 {
        msg_info!("{}: wanted attribute: {wanted}", stream.path());
    }
    attr_scan0_string(stream, text, "name").await?;
    let is_terminator = wanted == LIST_TERMINATOR;
    if text.is_empty() {
        if !is_terminator {
            msg_warn_client!("missing attribute {wanted} in input from {}", stream.path());
        }
        return Ok(is_terminator);
    }
    if is_terminator || text != wanted.as_bytes() {
        let (name, path) = (printable(text), stream.path());
        msg_warn_client!("unexpected attribute {name} from {path} (expecting: {wanted})");
        return Ok(false);
    }
    Ok(true)
}

/// Scans a string; messages call it `what`.
/// The original's `attr_scan0_string()`.
async fn attr_scan0_string(
    stream: &Stream,
    string: &mut Vec<u8>,
    what: &str,
) -> Result<(), BadList> {
    if let Err(why) = stream.get_string(string).await {
        warn_incomplete(why, string, stream, what);
        return Err(BadList);
    }
    if msg_verbose() > 0 {
        let text = if string.is_empty() {
            b"(end)"
        } else {
            &string[..]
        };
        msg_info!("input attribute {what}: {}", printable(text));
    }
    Ok(())
}

/// Scans a number. The original's `attr_scan0_number()`.
async fn attr_scan0_number(
    stream: &Stream,
    number: &mut i32,
    text: &mut Vec<u8>,
) -> Result<(), BadList> {
    attr_scan0_string(stream, text, "value").await?;
    let Some(value) = scan_number(text) else {
        msg_warn_client!(
            "malformed numerical data from {} while reading input attribute value: {}",
            stream.path(),
            printable(&text[..text.len().min(100)])
        );
        return Err(BadList);
    };
    *number = value;
    Ok(())
}

fn warn_incomplete(why: NoInput, partial: &[u8], stream: &Stream, what: &str) {
    let how = match why {
        NoInput::TooLong => "list too long from",
        // As in the C program, a last byte of 255 is taken for the end of input.
        _ if partial.last().is_some_and(|&byte| byte != 0xff) => "unexpected end-of-input from",
        NoInput::Timeout => "timeout on",
        NoInput::Eof => "premature end-of-input on",
    };
    let path = stream.path();
    msg_warn_client!("{how} {path} while reading input attribute {what}");
}

/// Converts a text as `sscanf("%u%c")` does, into a signed number. None if sscanf
/// would not convert exactly one item.
fn scan_number(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match skip_space(text) {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // strtoul() returns ULONG_MAX if the number does not fit, with either sign.
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some(match number {
        None => -1,
        Some(number) if negative => number.wrapping_neg() as i32,
        Some(number) => number as i32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_original_reads_them() {
        let good: &[(&str, i32)] = &[
            ("5", 5),
            (" \t5", 5),
            ("+5", 5),
            ("-3", -3),
            ("4294967297", 1),
            ("4294967295", -1),
            ("18446744073709551617", -1),
            ("-4294967295", 1),
            ("-18446744073709551615", 1),
            ("-99999999999999999999999", -1),
        ];
        for &(text, number) in good {
            assert_eq!(scan_number(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["", " ", "5 ", "2x", "0x10", "- 3", "--3", "+", "1.5"] {
            assert_eq!(scan_number(text.as_bytes()), None, "{text:?}");
        }
    }
}
