//! The test harness, shared by all test programs: a stand-in for master(8) that starts
//! the daemon ([`master`]), a client that sends and receives bytes and descriptors
//! ([`client`]), and the system calls that std does not have ([`sys`]).
//!
//! It does not use the daemon's code, so that it can test the C program as well.

// Each test program uses a part of this module.
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
