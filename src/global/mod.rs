//! What every mail program knows: configuration, protocols, the cache.

pub mod names;
pub mod scache_multi;
