//! What every child of master(8) does: start up, serve clients, end.

pub mod clients;
mod descriptors;
mod door;
pub mod master_proto;
pub mod multi_server;
pub mod multi_service;
pub mod options;
mod tag;
