//! A session in the cache: what is looked at and said when it is found or
//! ends.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::msg_info;
use crate::util::held_socket::{close_at_once, is_silent, send_at_once};
use crate::util::msg::msg_verbose;
use crate::util::names::NameId;
use crate::util::printable::printable;
use crate::util::ring::{Link, RingMember};
use crate::util::timer::TimerId;

/// A cached session: an open descriptor and what its owner said about it.
#[derive(Debug)]
pub struct Session {
    pub(super) fd: OwnedFd,
    pub(super) prop: Box<[u8]>,
    pub(super) endp: NameId,
    pub(super) timer: TimerId,
    pub(super) link: Link,
}

impl Session {
    /// What its owner said about it.
    pub fn prop(&self) -> &[u8] {
        &self.prop
    }

    /// Whether it is of no use any more: a server that is connected and has
    /// not been asked anything has nothing to say but farewell.
    pub(super) fn is_dead(&self) -> bool {
        !is_silent(self.fd.as_fd())
    }

    /// Says farewell, unless that is empty, and closes it. The original's
    /// `scache_multi_drop_endp()`.
    pub(super) fn drop_endp(self, farewell: &[u8]) {
        log_drop_endp(&self.prop, self.fd.as_raw_fd());
        self.close(farewell);
    }

    /// The same, and nothing is logged.
    pub(super) fn close(self, farewell: &[u8]) {
        if !farewell.is_empty() {
            send_at_once(self.fd.as_fd(), farewell);
        }
        close_at_once(self.fd);
    }

    pub(super) fn log(&self, what: &str, endp_label: &[u8]) {
        if msg_verbose() > 0 {
            let (label, prop) = (printable(endp_label), printable(&self.prop));
            let fd = self.fd.as_raw_fd();
            msg_info!("{what}: endp_label={label} -> endp_prop={prop} fd={fd}");
        }
    }

    /// It has left the cache without being closed.
    pub(super) fn log_leaves(&self) {
        log_drop_endp(&self.prop, -1);
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl RingMember for Session {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }
    fn neighbours(&self) -> Link {
        self.link
    }
}

fn log_drop_endp(prop: &[u8], fd: i32) {
    if msg_verbose() > 0 {
        let prop = printable(prop);
        msg_info!("scache_multi_drop_endp: endp_prop={prop} fd={fd}");
    }
}
