//! `heap`: memory that is not needed any more, back to the system.

/// Gives back what the allocator keeps for later. Takes a while: for the time
/// after a crowd, not for every day.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim() changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
