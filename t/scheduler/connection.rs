//! A connection of a client with the service, with what is on its way in both
//! directions: see [`service`](super::service).

use std::collections::VecDeque;

use crate::lists::End;
use crate::naive::Session;
use crate::service::{Id, RESET};

/// The size of the daemon's reads.
const READ_SIZE: usize = 4096;

/// Bytes that were sent in one call, and the sessions that were sent with them.
#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub ids: Vec<Id>,
}

#[derive(Clone, Debug, Default)]
pub enum Phase {
    #[default]
    Request,
    /// Of a save_endp with these values.
    Descriptor(Vec<String>),
    /// Before and after the session is sent.
    Before(Session, &'static str),
    After(Session, &'static str),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Not accepted.
    #[default]
    Waiting,
    Served,
    /// The daemon has closed the connection.
    Over,
}

/// A connection, with what is on its way in both directions.
#[derive(Debug, Default)]
pub struct Connection {
    pub life: Life,
    pub to_daemon: VecDeque<Message>,
    pub to_client: Vec<u8>,
    pub sessions_to_client: Vec<Id>,
    pub closed: bool,
    pub half_closed: bool,
    /// The client closed it with unread replies; the daemon has not noticed.
    pub reset: bool,
    pub phase: Phase,
    /// Bytes that were read and belong to no list that is finished.
    pub pending: Vec<u8>,
    pub input_end: Option<End>,
    pub error: Option<&'static str>,
    pub output_ended: bool,
    pub has_yielded: bool,
    pub deadline: Option<u64>,
    pub timer: Option<(u64, u64)>,
}

impl Connection {
    pub fn is_readable(&self) -> bool {
        !self.to_daemon.is_empty() || self.closed || self.half_closed
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Request) && self.pending.is_empty()
    }

    /// Reads once, as read(2) does: a message with descriptors is the last one, and
    /// they are closed.
    pub fn read(&mut self) {
        let mut count = 0;
        while let Some(message) = self.to_daemon.front_mut() {
            let length = message.bytes.len().min(READ_SIZE - count);
            self.pending.extend(message.bytes.drain(..length));
            count += length;
            let had_descriptors = !std::mem::take(&mut message.ids).is_empty();
            if !message.bytes.is_empty() {
                break;
            }
            self.to_daemon.pop_front();
            if had_descriptors || count == READ_SIZE {
                break;
            }
        }
        if count == 0 {
            self.input_end.get_or_insert(End::Eof);
            if std::mem::take(&mut self.reset) {
                self.error.get_or_insert(RESET);
            }
        }
    }
}
