//! The replayer of transcripts: [`script`] reads them, [`play`] acts them out
//! against a daemon, with a [`pair`] for each descriptor, [`log`] compares what the
//! daemon logged, [`record`] writes down what a daemon really says, [`verdict`] says
//! whether all is well. [`text`] is how bytes are written.
//! t/transcripts/README describes the notation.

// Each test program uses a part of it.
#![allow(dead_code)]

pub mod log;
pub mod pair;
pub mod play;
pub mod record;
pub mod script;
pub mod text;
pub mod verdict;
