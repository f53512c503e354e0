//! Requirements of tests that not every machine meets. A test whose requirement is
//! not met says so and returns: t/count counts it as skipped, not as passed.
//!
//! ```text
//! if !need::root() {
//!     return;
//! }
//! ```

use std::io::{stdout, Write};
use std::net::{TcpListener, TcpStream};

use super::{privilege, sys};

/// Returns true if this process may become another account and enter a chroot jail.
pub fn root() -> bool {
    privilege::is_root() || skip("only root can become another account or enter a chroot jail")
}

/// Returns true if the limit of open files allows this number.
pub fn open_files(count: u64) -> bool {
    let limit = sys::open_files_limit().expect("the limit");
    limit >= count || skip(&format!("{count} open files, and the limit is {limit}"))
}

/// Returns true if TCP connections within this machine work.
pub fn loopback() -> bool {
    let tried = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| TcpStream::connect(listener.local_addr()?));
    match tried {
        Ok(_) => true,
        Err(error) => skip(&format!("a connection to 127.0.0.1: {error}")),
    }
}

/// Prints that the test is skipped, and why. Returns false.
///
/// The line is written at once and not through the output capture of passed tests;
/// t/count counts these lines.
pub fn skip(why: &str) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = stdout().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes());
    false
}
