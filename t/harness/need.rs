//! What a test needs and not every machine can give. A test without it says so
//! and is over: it counts as skipped, not as passed.
//!
//! ```text
//! if !need::root() {
//!     return;
//! }
//! ```

use std::io::{stdout, Write};
use std::net::{TcpListener, TcpStream};

use super::{privilege, sys};

/// To become another account, and to enter a jail.
pub fn root() -> bool {
    privilege::is_root() || skip("only root can become another account or enter a jail")
}

/// This process, or a daemon that it starts, with so many open files.
pub fn open_files(count: u64) -> bool {
    let limit = sys::open_files_limit().expect("the limit");
    limit >= count || skip(&format!("{count} open files, and the limit is {limit}"))
}

/// TCP connections within this machine.
pub fn loopback() -> bool {
    let tried = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| TcpStream::connect(listener.local_addr()?));
    match tried {
        Ok(_) => true,
        Err(error) => skip(&format!("a connection to 127.0.0.1: {error}")),
    }
}

/// Says that the test that runs is skipped, and why. False.
///
/// It is said past the output that is kept back of tests that pass, in one
/// piece; t/count counts these lines.
pub fn skip(why: &str) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = stdout().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes());
    false
}
