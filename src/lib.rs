//! scache(8), the shared connection cache of Postfix.
//!
//! Four layers, each using only those below it: [`scache`] is the service,
//! [`master`] has the code of all children of master(8), [`global`] that of all mail
//! programs, and [`util`] code that is not about mail.

pub mod global;
pub mod master;
pub mod scache;
mod scache_stats;
pub mod util;
