//! Replays transcripts: [`script`] reads them, [`play`] does their steps, with a [`pair`]
//! for each descriptor, [`log`] compares logs, [`verdict`] compares the rest, [`record`]
//! records the expectations anew. [`text`] converts bytes to text and back. The notation
//! is in t/transcripts/README.

// Each test program uses a part of this module.
#![allow(dead_code)]

pub mod log;
pub mod pair;
pub mod play;
pub mod record;
pub mod script;
pub mod text;
pub mod verdict;
