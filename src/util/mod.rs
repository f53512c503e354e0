//! What knows nothing of mail: events, streams, attribute lists, messages.

pub mod msg;
pub mod printable;
