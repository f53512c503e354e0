//! `global`: code of all mail programs: configuration, protocols, the cache.

pub mod build;
pub mod compat_level;
pub mod mac_functions;
pub mod mail_conf;
pub mod mail_params;
pub mod mail_proto;
pub mod mail_version;
pub mod maillog_client;
pub mod scache_multi;
