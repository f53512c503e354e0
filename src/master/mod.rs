//! What every child of master(8) does.

pub mod event_loop;
pub mod master_proto;
pub mod multi_server;
pub mod options;
