//! `mail_proto`: the names and numbers in protocols between mail programs. The
//! original's `mail_proto` and the requests of its `scache_clnt`.

/// The protocol of a socket, in Postfix 3.6 and later. The original's
/// `MAIL_ATTR_PROTO`.
pub const MAIL_ATTR_PROTO: &str = "protocol";
/// The protocol of scache(8). The original's `MAIL_ATTR_PROTO_SCACHE`.
pub const MAIL_ATTR_PROTO_SCACHE: &str = "connection_cache_protocol";

/// The name of a request. The original's `MAIL_ATTR_REQ`.
pub const MAIL_ATTR_REQ: &str = "request";
/// The result of a request. The original's `MAIL_ATTR_STATUS`.
pub const MAIL_ATTR_STATUS: &str = "status";
/// A time to live, in seconds. The original's `MAIL_ATTR_TTL`.
pub const MAIL_ATTR_TTL: &str = "ttl";
/// The label of an endpoint or destination. The original's `MAIL_ATTR_LABEL`.
pub const MAIL_ATTR_LABEL: &str = "label";
/// The property of a session or binding. The original's `MAIL_ATTR_PROP`.
pub const MAIL_ATTR_PROP: &str = "property";
/// The handshake before and after a descriptor is sent. The original's `MAIL_ATTR_DUMMY`.
pub const MAIL_ATTR_DUMMY: &str = "dummy";

/// Saves a session under an endpoint label. The original's `SCACHE_REQ_SAVE_ENDP`.
pub const SCACHE_REQ_SAVE_ENDP: &str = "save_endp";
/// Looks up a session by endpoint label. The original's `SCACHE_REQ_FIND_ENDP`.
pub const SCACHE_REQ_FIND_ENDP: &str = "find_endp";
/// Binds a destination label to an endpoint label. The original's `SCACHE_REQ_SAVE_DEST`.
pub const SCACHE_REQ_SAVE_DEST: &str = "save_dest";
/// Looks up a session by destination label. The original's `SCACHE_REQ_FIND_DEST`.
pub const SCACHE_REQ_FIND_DEST: &str = "find_dest";

/// The request was carried out. The original's `SCACHE_STAT_OK`.
pub const SCACHE_STAT_OK: u32 = 0;
/// The request was malformed. The original's `SCACHE_STAT_BAD`.
pub const SCACHE_STAT_BAD: u32 = 1;
/// The request failed, or nothing was found. The original's `SCACHE_STAT_FAIL`.
pub const SCACHE_STAT_FAIL: u32 = 2;
