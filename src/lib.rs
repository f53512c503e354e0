//! The shared connection cache of Postfix, scache(8).
//!
//! Four layers, each knowing only those below it: [`scache`] is the service,
//! [`master`] what every child of master(8) does, [`global`] what every mail
//! program knows, [`util`] what knows nothing of mail.

pub mod global;
pub mod master;
pub mod scache;
mod scache_stats;
pub mod util;
