//! `attr_scan`: attribute lists, read.
//!
//! The original reads one list in one call and blocks where bytes are missing.
//! Here a list that is not all there is put aside in an [`AttrScan`], and the
//! same call goes on where it stopped. Bad input logs a warning and ends the
//! scan with the number of attributes so far, or with -1 when the list broke
//! off or a number was malformed.

use std::ops::Range;

use super::msg::msg_verbose;
use super::printable::printable;
use super::stream::{Input, NoInput, Stream};
use super::strtol::skip_space;
use crate::{msg_info, msg_warn_client};

/// One attribute to expect. The original's `RECV_ATTR_INT` and `RECV_ATTR_STR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvAttr {
    /// A number of this name.
    Int(&'static str),
    /// A string of this name.
    Str(&'static str),
}

/// What ends a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrFlag {
    /// After the last expected attribute the list terminator must come. The
    /// original's `ATTR_FLAG_STRICT`.
    Strict,
    /// The rest of the list is for another scan. The original's
    /// `ATTR_FLAG_STRICT | ATTR_FLAG_MORE`.
    StrictMore,
}

/// What the list terminator is called in messages.
const LIST_TERMINATOR: &str = "(list terminator)";

/// Where the scan of a list stands.
#[derive(Debug, Default)]
pub struct AttrScan {
    stage: Stage,
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Value {
    Int(i32),
    Str(Range<usize>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Peek,
    Wanted,
    Name,
    Value,
}

impl AttrScan {
    /// Forgets all, to scan another list.
    pub fn reset(&mut self) {
        self.stage = Stage::Peek;
        self.values.clear();
    }

    /// Whether a list has been begun.
    pub fn is_begun(&self) -> bool {
        self.stage != Stage::Peek
    }

    /// The number that was scanned as attribute `index`.
    pub fn int(&self, index: usize) -> i32 {
        match self.values[index] {
            Value::Int(number) => number,
            Value::Str(_) => unreachable!("attribute {index} is a string"),
        }
    }

    /// The string that was scanned as attribute `index`.
    pub fn str<'a>(&self, stream: &'a Stream, index: usize) -> &'a [u8] {
        match &self.values[index] {
            Value::Str(range) => stream.string(range),
            Value::Int(_) => unreachable!("attribute {index} is a number"),
        }
    }

    /// Scans a list as far as its bytes have come: nothing when some are
    /// missing, else how many attributes were as expected, or -1. The
    /// original's `attr_scan()`.
    pub fn attr_scan(
        &mut self,
        stream: &mut Stream,
        wanted: &[RecvAttr],
        flag: AttrFlag,
    ) -> Option<i32> {
        if self.stage == Stage::Peek {
            match stream.peek() {
                Input::Ready(()) => self.stage = Stage::Wanted,
                Input::Wait => return None,
                Input::None(_) => return Some(0),
            }
        }
        loop {
            let Some(&attr) = wanted.get(self.values.len()) else {
                return match flag {
                    AttrFlag::StrictMore => Some(self.count()),
                    AttrFlag::Strict => self.expect_name(stream, LIST_TERMINATOR),
                };
            };
            let (RecvAttr::Int(name) | RecvAttr::Str(name)) = attr;
            if self.stage != Stage::Value {
                match self.expect_name(stream, name) {
                    None => return None,
                    Some(end) if self.stage != Stage::Value => return Some(end),
                    Some(_) => {}
                }
            }
            match self.get_value(stream, attr)? {
                Some(value) => self.values.push(value),
                None => return Some(-1),
            }
            self.stage = Stage::Wanted;
        }
    }

    fn count(&self) -> i32 {
        self.values.len() as i32
    }

    /// Reads a name; goes on to its value when it is the wanted one. For the
    /// terminator, and for any other name, the scan ends here.
    fn expect_name(&mut self, stream: &mut Stream, wanted: &str) -> Option<i32> {
        if self.stage == Stage::Wanted {
            if msg_verbose() > 0 {
                msg_info!("{}: wanted attribute: {wanted}", stream.path());
            }
            self.stage = Stage::Name;
        }
        // What should come comes nearly always; no need to copy it then.
        if msg_verbose() == 0 {
            if wanted == LIST_TERMINATOR {
                if stream.skip_string(b"") {
                    return Some(self.count());
                }
            } else if stream.skip_string(wanted.as_bytes()) {
                self.stage = Stage::Value;
                return Some(self.count());
            }
        }
        let range = match get_text(stream, "name")? {
            Some(range) => range,
            None => return Some(-1),
        };
        let name = stream.string(&range);
        if name.is_empty() && wanted == LIST_TERMINATOR {
            return Some(self.count());
        }
        if name == wanted.as_bytes() && wanted != LIST_TERMINATOR {
            self.stage = Stage::Value;
        } else if name.is_empty() {
            msg_warn_client!("missing attribute {wanted} in input from {}", stream.path());
        } else {
            let name = printable(name);
            msg_warn_client!(
                "unexpected attribute {name} from {} (expecting: {wanted})",
                stream.path()
            );
        }
        Some(self.count())
    }

    fn get_value(&mut self, stream: &mut Stream, attr: RecvAttr) -> Option<Option<Value>> {
        let range = match get_text(stream, "value")? {
            Some(range) => range,
            None => return Some(None),
        };
        let RecvAttr::Int(_) = attr else {
            return Some(Some(Value::Str(range)));
        };
        let text = stream.string(&range);
        let number = scan_number(text);
        if number.is_none() {
            msg_warn_client!(
                "malformed numerical data from {} while reading input attribute value: {}",
                stream.path(),
                printable(&text[..text.len().min(100)])
            );
        }
        Some(number.map(Value::Int))
    }
}

/// Reads one string of the list; the inner nothing means that it broke off.
fn get_text(stream: &mut Stream, what: &str) -> Option<Option<Range<usize>>> {
    let why = match stream.get_string() {
        Input::Ready(range) => {
            if msg_verbose() > 0 {
                let text = stream.string(&range);
                let text = if text.is_empty() { b"(end)" } else { text };
                msg_info!("input attribute {what}: {}", printable(text));
            }
            return Some(Some(range));
        }
        Input::Wait => return None,
        Input::None(why) => why,
    };
    warn_broken_off(why, stream, what);
    Some(None)
}

fn warn_broken_off(why: NoInput, stream: &Stream, what: &str) {
    let how = match why {
        NoInput::TooLong => "list too long from",
        // The original takes a last byte of 255 for the end of input itself.
        _ if stream.partial().last().is_some_and(|&byte| byte != 0xff) => {
            "unexpected end-of-input from"
        }
        NoInput::Timeout => "timeout on",
        NoInput::Eof => "premature end-of-input on",
    };
    let path = stream.path();
    msg_warn_client!("{how} {path} while reading input attribute {what}");
}

/// What `sscanf("%u%c")` makes of a text when it converts exactly one item,
/// seen as a signed number.
fn scan_number(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match skip_space(text) {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // strtoul() answers ULONG_MAX for all that does not fit, sign or no sign.
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
