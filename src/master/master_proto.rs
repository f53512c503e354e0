//! `master_proto`: what master(8) hands to its children, and what they tell it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use crate::msg_info;
use crate::util::msg::msg_verbose;

/// The read end of the flow-control pipe. The original's `MASTER_FLOW_READ`.
pub const MASTER_FLOW_READ: RawFd = 3;
/// The write end of the flow-control pipe. The original's `MASTER_FLOW_WRITE`.
pub const MASTER_FLOW_WRITE: RawFd = 4;
/// The status pipe to master(8). The original's `MASTER_STATUS_FD`.
pub const MASTER_STATUS_FD: RawFd = 5;
/// The first listening socket. The original's `MASTER_LISTEN_FD`.
pub const MASTER_LISTEN_FD: RawFd = 6;

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterStatus {
    /// Serving a client. The original's `MASTER_STAT_TAKEN`.
    Taken = 0,
    /// Waiting for one. The original's `MASTER_STAT_AVAIL`.
    Available = 1,
}

/// The status pipe.
#[derive(Debug)]
pub struct MasterPipe {
    pipe: File,
    generation: u32,
    /// What master(8) was told last.
    told: Option<MasterStatus>,
}

impl MasterPipe {
    /// A status pipe for a process of this generation.
    pub fn new(pipe: OwnedFd, generation: u32) -> MasterPipe {
        MasterPipe {
            pipe: File::from(pipe),
            generation,
            told: None,
        }
    }

    /// Tells master(8) what this process is doing: pid, generation and status
    /// as three native words. After the first pair master has seen that the
    /// process was of use, and with a process limit of 1 nothing else depends
    /// on it, so the rest is only logged. Fails when master is gone. The
    /// original's `master_notify()`.
    pub fn master_notify(&mut self, status: MasterStatus) -> io::Result<()> {
        if msg_verbose() > 0 {
            msg_info!("master_notify: status {}", status as u32);
        }
        match (self.told, status) {
            (None, MasterStatus::Taken) => {}
            (Some(MasterStatus::Taken), MasterStatus::Available) => {}
            _ => return Ok(()),
        }
        self.told = Some(status);
        let words = [std::process::id(), self.generation, status as u32];
        self.pipe
            .write_all(words.map(u32::to_ne_bytes).as_flattened())
    }
}

impl AsFd for MasterPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
