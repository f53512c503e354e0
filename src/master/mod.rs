//! `master`: code of all children of master(8).

pub mod event_loop;
pub mod master_proto;
pub mod multi_server;
pub mod options;
