//! scache(8).
fn main() {}
