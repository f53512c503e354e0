//! `mymalloc`: the allocator of a program that ends when there is no memory.
//!
//! It is the system's, and says so before the end: one fatal message with the
//! size that was asked for, as the original's `mymalloc()` does. Nothing is
//! allocated for that. Who can do without the memory asks with [`may_fail`]. Who
//! needs it for a client asks whether there is a [`reserve`] first: what fails
//! after that is taken from it, and the next client gets nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::msg::{msg_die_plain, short_text};

/// The allocator, for `#[global_allocator]`.
#[derive(Debug)]
pub struct Mymalloc;

// An allocator is told nothing but a size. The program has one thread.
static MAY_FAIL: AtomicBool = AtomicBool::new(false);
static HAS_FAILED: AtomicBool = AtomicBool::new(false);
static RESERVE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// The reason in messages; the system's words, for which nothing is allocated.
pub const NO_MEMORY: &str = "Cannot allocate memory";

/// More than one request can need, if its tables grow as well: 4 MiB, which are
/// not touched and so take no memory. As large as they are, the allocator gives
/// them back to the system when they are freed.
const RESERVE_LAYOUT: Layout = match Layout::from_size_align(4 << 20, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("no power of two"),
};

/// Whether there is memory in reserve; gets some if not.
pub fn reserve() -> bool {
    if RESERVE.load(Ordering::Relaxed).is_null() {
        // SAFETY: its size is not zero.
        RESERVE.store(unsafe { System.alloc(RESERVE_LAYOUT) }, Ordering::Relaxed);
    }
    !RESERVE.load(Ordering::Relaxed).is_null()
}

/// Gives the reserve up; false when there is none.
fn spend_reserve() -> bool {
    let at = RESERVE.swap(ptr::null_mut(), Ordering::Relaxed);
    if !at.is_null() {
        // SAFETY: it is what reserve() was given, and nobody else has it now.
        unsafe { System.dealloc(at, RESERVE_LAYOUT) };
    }
    !at.is_null()
}

/// Does something with memory that can be done without: a `try_reserve()` in
/// there fails like any other, and does not end the program.
pub fn may_fail<R>(attempt: impl FnOnce() -> R) -> R {
    let before = MAY_FAIL.swap(true, Ordering::Relaxed);
    let result = attempt();
    MAY_FAIL.store(before, Ordering::Relaxed);
    result
}

// SAFETY: everything is the system's allocator's, as it came.
unsafe impl GlobalAlloc for Mymalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises is what `System` asks for.
        let attempt = || unsafe { System.alloc(layout) };
        checked(attempt, "mymalloc", layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises is what `System` asks for.
        let attempt = || unsafe { System.alloc_zeroed(layout) };
        checked(attempt, "mymalloc", layout.size())
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: what the caller promises is what `System` asks for. An attempt
        // that fails leaves `at` as it is.
        let attempt = || unsafe { System.realloc(at, layout, size) };
        checked(attempt, "myrealloc", size)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: what the caller promises is what `System` asks for.
        unsafe { System.dealloc(at, layout) }
    }
}

#[inline]
fn checked(attempt: impl Fn() -> *mut u8, function: &str, size: usize) -> *mut u8 {
    let at = attempt();
    if at.is_null() {
        return once_more(attempt, function, size);
    }
    at
}

#[cold]
fn once_more(attempt: impl Fn() -> *mut u8, function: &str, size: usize) -> *mut u8 {
    if MAY_FAIL.load(Ordering::Relaxed) {
        return ptr::null_mut();
    }
    if spend_reserve() {
        let at = attempt();
        if !at.is_null() {
            return at;
        }
    }
    insufficient(function, size)
}

fn insufficient(function: &str, size: usize) -> ! {
    if HAS_FAILED.swap(true, Ordering::Relaxed) {
        // Not even the message can be had.
        // SAFETY: _exit() ends the process.
        unsafe { libc::_exit(1) };
    }
    msg_die_plain(short_text(
        &mut [0; 128],
        format_args!("{function}: insufficient memory for {size} bytes: {NO_MEMORY}"),
    ))
}
