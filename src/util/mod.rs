//! What knows nothing of mail: events, streams, attribute lists, messages.

pub mod attr_print;
pub mod attr_scan;
pub mod chroot_uid;
pub mod event;
pub mod msg;
pub mod msg_syslog;
pub mod open_limit;
pub mod poller;
pub mod printable;
pub mod ring;
pub mod slab;
pub mod stream;
pub mod timer;
pub mod unix_recv_fd;
pub mod unix_send_fd;
pub mod watchdog;
