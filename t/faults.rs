//! Tests that clients which stall, disappear, or send too much or the wrong thing do
//! not make the daemon lose a session, leak a descriptor or delay other clients; nor
//! does it when descriptors run out.

#[path = "faults/end.rs"]
mod end;
#[path = "faults/flood.rs"]
mod flood;
#[path = "faults/hand_over.rs"]
mod hand_over;
mod harness;
#[path = "faults/help.rs"]
mod help;
#[path = "faults/hostile.rs"]
mod hostile;
#[path = "faults/many.rs"]
mod many;
#[cfg(target_os = "linux")] // for prlimit(2), LD_PRELOAD of accept4(2)
#[path = "faults/scarce.rs"]
mod scarce;
#[path = "faults/sessions.rs"]
mod sessions;
#[cfg(target_os = "linux")]
#[path = "faults/shim.rs"]
mod shim;
#[path = "clock/shim.rs"]
#[allow(dead_code)]
mod stopped_clock;
