//! An allocator that counts, thread by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What one thread has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub allocated: usize,
    pub freed: usize,
    pub bytes: isize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { allocated: 0, freed: 0, bytes: 0 }) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, 0, layout.size() as isize);
        // SAFETY: what the caller promises is what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, 1, -(layout.size() as isize));
        // SAFETY: what the caller promises is what `System` asks for.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What this thread has done so far.
pub fn allocated() -> Count {
    COUNT.get()
}

fn count(allocated: usize, freed: usize, bytes: isize) {
    let mut count = COUNT.get();
    count.allocated += allocated;
    count.freed += freed;
    count.bytes += bytes;
    COUNT.set(count);
}
