//! `attr_print`: writes attribute lists. The original's `attr_print0`.
//!
//! A list is any number of `name NUL value NUL`, terminated by an empty name.
//! Printing fills the stream's buffer and drops its unread input; `fflush` sends
//! it, and is what can fail.

use super::msg::msg_verbose;
use super::printable::printable;
use super::stream::Stream;
use crate::msg_info;

/// An attribute to print. The original's `SEND_ATTR_INT` and `SEND_ATTR_STR`.
#[derive(Clone, Copy, Debug)]
pub enum SendAttr<'a> {
    /// A name and a number.
    Int(&'static str, u32),
    /// A name and a string without NUL.
    Str(&'static str, &'a [u8]),
}

/// Prints a list and its terminator. The original's `attr_print0()`.
pub fn attr_print(stream: &Stream, attrs: &[SendAttr<'_>]) {
    for attr in attrs {
        match *attr {
            SendAttr::Int(name, value) => {
                let mut digits = [0; 10];
                print_attr(stream, name, decimal(value, &mut digits));
            }
            SendAttr::Str(name, value) => print_attr(stream, name, value),
        }
    }
    stream.put_string(b"");
}

fn print_attr(stream: &Stream, name: &str, value: &[u8]) {
    stream.put_string(name.as_bytes());
    stream.put_string(value);
    if msg_verbose() > 0 {
        msg_info!("send attr {name} = {}", printable(value));
    }
}

fn decimal(mut value: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_decimal_text() {
        for value in [0, 9, 10, 4_294_967_295] {
            assert_eq!(decimal(value, &mut [0; 10]), value.to_string().as_bytes());
        }
    }
}
