//! What every test program shares: a stand-in for master(8) that starts the
//! daemon ([`master`]), a client that speaks raw bytes and descriptors
//! ([`client`]), and the few system calls that std does not have ([`sys`]).
//!
//! Nothing in here knows the daemon's code: the same harness drives the C
//! daemon and this one.

// Each test program uses a part of it.
#![allow(dead_code)]

pub mod ask;
pub mod built_in;
pub mod client;
pub mod daemon;
pub mod directory;
pub mod entry;
pub mod interposed;
pub mod kind;
pub mod log_text;
pub mod master;
pub mod namespace;
pub mod need;
pub mod postlogd;
pub mod privilege;
pub mod random;
pub mod sys;
pub mod version;
