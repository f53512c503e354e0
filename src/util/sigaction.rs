//! `sigaction`: signal handlers and the signal mask.

use std::io;

/// Installs a signal handler; interrupted system calls are restarted. Fails as
/// sigaction(2) does.
///
/// # Safety
///
/// All that the handler does must be async-signal-safe.
pub unsafe fn set_handler(
    signal: libc::c_int,
    handler: extern "C" fn(libc::c_int),
) -> io::Result<()> {
    // SAFETY: all-zero is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised, and the handler has the type that belongs to
    // these flags; the caller promises the rest.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Unblocks a signal for this thread: in a handler its own signal is blocked.
/// Async-signal-safe.
pub fn unblock(signal: libc::c_int) {
    // SAFETY: all-zero is a valid sigset_t, which sigemptyset() initialises; the
    // pointers are to a local that outlives the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
    }
}
