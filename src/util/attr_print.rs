//! `attr_print`: writes attribute lists. The original's `attr_print0`.
//!
//! A list is any number of `name NUL value NUL`, terminated by an empty name.
//! Printing fills the stream's buffer and drops its unread input. `fflush` sends the
//! buffer; only that can fail.

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

/// Prints a list and its terminator.
/// The original's `attr_print0()` and `attr_vprint0()`.
pub fn attr_print(stream: &Stream, attrs: &[SendAttr<'_>]) {
    for attr in attrs {
        match *attr {
            SendAttr::Int(name, value) => {
                print_attr(stream, name, value.to_string().as_bytes());
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
