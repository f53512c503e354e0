//! Tests that the daemon loses no session, leaks no descriptor and does not delay other
//! clients when clients stall, disappear, or send too much or the wrong thing, and when
//! descriptors run out. (The C program does not pass these tests.)

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
