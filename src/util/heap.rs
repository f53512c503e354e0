//! `heap`: memory that is not needed any more, back to the system.

/// What is at least as large as this has memory of its own, in bytes, which goes
/// back to the system when it is not needed any more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MEMORY: libc::c_int = 32 * 1024;

/// Prepares for a long life in which much is needed now and then. Otherwise the
/// allocator learns from the first large thing to keep those to come.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt() only sets a limit, which is used from the next
    // allocation on.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MEMORY);
    }
}

/// Gives back what the allocator keeps for later. Takes a while: for the time
/// after a crowd, not for every day.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim() changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
