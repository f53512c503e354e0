//! `mymalloc`: memory allocation that ends the program if there is no memory. The
//! original's `mymalloc`.
//!
//! This is the system's allocator. Its failure is logged as a fatal message with the
//! requested size, as in the C program. The message is logged without an allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use super::msg::{msg_die_plain, short_text};

/// The allocator, for `#[global_allocator]`.
#[derive(Debug)]
pub struct Mymalloc;

// True from the first failure on.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

// SAFETY: each call is passed on to `System`, and its result returned unless it is
// null: then the process ends, without unwinding.
unsafe impl GlobalAlloc for Mymalloc {
    /// The original's `mymalloc()`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is also that of `System`.
        let at = unsafe { System.alloc(layout) };
        checked(at, "mymalloc", layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is also that of `System`.
        let at = unsafe { System.alloc_zeroed(layout) };
        checked(at, "mymalloc", layout.size())
    }

    /// The original's `myrealloc()`.
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is also that of `System`.
        let at = unsafe { System.realloc(at, layout, size) };
        checked(at, "myrealloc", size)
    }

    /// The original's `myfree()`.
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is also that of `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[inline]
fn checked(at: *mut u8, function: &str, size: usize) -> *mut u8 {
    if at.is_null() {
        insufficient(function, size);
    }
    at
}

#[cold]
fn insufficient(function: &str, size: usize) -> ! {
    if HAS_FAILED.swap(true, Ordering::Relaxed) {
        // Logging needs memory, too.
        // SAFETY: _exit() takes a plain number.
        unsafe { libc::_exit(1) };
    }
    msg_die_plain(short_text(
        &mut [0; 128],
        format_args!("{function}: insufficient memory for {size} bytes: Cannot allocate memory"),
    ))
}
