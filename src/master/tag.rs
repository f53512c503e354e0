//! Whose descriptor it is that the event loop of a server waits for.

use crate::util::event::EventTag;

/// Whose descriptor it is; listeners and clients by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Master,
    Sigterm,
    Listener(u32),
    Client(u32),
}

impl EventTag for Tag {
    fn pack(self) -> usize {
        match self {
            Tag::Master => 0,
            Tag::Listener(index) => 1 | (index as usize) << 2,
            Tag::Client(number) => 2 | (number as usize) << 2,
            Tag::Sigterm => 3,
        }
    }

    fn unpack(word: usize) -> Tag {
        let number = (word >> 2) as u32;
        match word & 3 {
            0 => Tag::Master,
            1 => Tag::Listener(number),
            2 => Tag::Client(number),
            _ => Tag::Sigterm,
        }
    }
}
