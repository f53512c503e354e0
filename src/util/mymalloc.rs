//! `mymalloc`: the allocator of a program that ends when there is no memory.
//!
//! It is the system's, and says so before the end: one fatal message with the
//! size that was asked for, as the original's `mymalloc()` does. This module
//! allocates nothing for that message.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use super::msg::{msg_die_plain, short_text};

/// The allocator, for `#[global_allocator]`.
#[derive(Debug)]
pub struct Mymalloc;

// An allocator is told nothing but a size.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

// SAFETY: everything is the system's allocator's, as it came.
unsafe impl GlobalAlloc for Mymalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises is what `System` asks for.
        let at = unsafe { System.alloc(layout) };
        checked(at, "mymalloc", layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises is what `System` asks for.
        let at = unsafe { System.alloc_zeroed(layout) };
        checked(at, "mymalloc", layout.size())
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: what the caller promises is what `System` asks for.
        let at = unsafe { System.realloc(at, layout, size) };
        checked(at, "myrealloc", size)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises is what `System` asks for.
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
        // Not even the message can be had.
        // SAFETY: _exit() ends the process.
        unsafe { libc::_exit(1) };
    }
    msg_die_plain(short_text(
        &mut [0; 128],
        format_args!("{function}: insufficient memory for {size} bytes: Cannot allocate memory"),
    ))
}
