//! What every mail program knows: configuration, protocols, the cache.
