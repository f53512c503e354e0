//! `local_time`: the time of day as log lines have it.
//!
//! The system's time zone is looked at each time, as localtime(3) does in glibc:
//! an administrator may change it while the program runs. In a jail there is
//! nothing to look at, and the rules that are known stay in force.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

// Messages are written anywhere, and so this cannot be told to who writes them.
static KEEPS_ZONE: AtomicBool = AtomicBool::new(false);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment in the local time zone.
#[derive(Clone, Copy)]
pub struct LocalTime(libc::tm);

impl LocalTime {
    /// The local time at `when`.
    pub fn at(when: SystemTime) -> LocalTime {
        let since_epoch = when
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        // (Its type has two sizes on some systems, and its name is deprecated.)
        let time = since_epoch.as_secs() as _;
        if !KEEPS_ZONE.load(Ordering::Relaxed) {
            // SAFETY: `time` outlives the call; the result, which is shared, is
            // not looked at.
            unsafe { libc::localtime(&time) };
        }
        // SAFETY: all-zero is a valid tm (numbers and a null pointer).
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to locals that outlive the call.
        unsafe { libc::localtime_r(&time, &mut tm) };
        LocalTime(tm)
    }

    /// Reads the time zone's rules for the last time, for use in a chroot.
    pub fn keep_zone() {
        LocalTime::at(SystemTime::now());
        KEEPS_ZONE.store(true, Ordering::Relaxed);
    }

    /// `Nov  4 01:48:58`, as ctime(3) has it between weekday and year.
    pub fn ctime(self) -> String {
        format!("{} {:2} {}", self.month(), self.0.tm_mday, self.clock())
    }

    /// `Nov 04 01:48:58`, as a mail log line begins.
    pub fn log_stamp(self) -> String {
        format!("{} {:02} {}", self.month(), self.0.tm_mday, self.clock())
    }

    fn month(self) -> &'static str {
        usize::try_from(self.0.tm_mon)
            .ok()
            .and_then(|month| MONTHS.get(month))
            .unwrap_or(&"???")
    }

    fn clock(self) -> String {
        format!(
            "{:02}:{:02}:{:02}",
            self.0.tm_hour, self.0.tm_min, self.0.tm_sec
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_padded_with_a_blank_or_a_zero() {
        // SAFETY: all-zero is a valid tm (numbers and a null pointer).
        let tm = libc::tm {
            tm_mon: 10,
            tm_mday: 4,
            tm_hour: 1,
            ..unsafe { std::mem::zeroed() }
        };
        assert_eq!(LocalTime(tm).ctime(), "Nov  4 01:00:00");
        assert_eq!(LocalTime(tm).log_stamp(), "Nov 04 01:00:00");
    }
}
