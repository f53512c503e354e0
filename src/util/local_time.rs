//! `local_time`: local times in log lines.
//!
//! The time zone is that at the start of the program: a chroot jail may have no files
//! to read it from.

use std::fmt;
use std::time::SystemTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads the rules of the time zone; to be called once, before chroot(2). The
/// libc crate has no tzset(3), so this calls localtime(3), which calls it.
pub fn tzset() {
    let time = 0;
    // SAFETY: `time` outlives the call. The process has one thread, so nothing
    // uses the static result, or changes the environment, during the call.
    unsafe { libc::localtime(&time) };
}

/// A time in the local time zone.
#[derive(Clone, Copy)]
pub struct LocalTime(libc::tm);

impl LocalTime {
    /// The local time at `when`.
    pub fn at(when: SystemTime) -> LocalTime {
        // Not cast to time_t by name: libc deprecates that on some systems.
        let time = seconds(when) as _;
        let mut tm = empty();
        // SAFETY: both pointers are to locals that outlive the call.
        unsafe { libc::localtime_r(&time, &mut tm) };
        LocalTime(tm)
    }

    /// `Nov  4 01:48:58`, as in the text of ctime(3).
    pub fn ctime(self) -> Stamp {
        Stamp {
            time: self.0,
            zeros: false,
        }
    }

    /// `Nov 04 01:48:58`, as in the lines of postlogd(8).
    pub fn log_stamp(self) -> Stamp {
        Stamp {
            time: self.0,
            zeros: true,
        }
    }
}

/// A time as text.
pub struct Stamp {
    time: libc::tm,
    /// True to pad the day with a zero, false to pad it with a blank.
    zeros: bool,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = &self.time;
        let month = usize::try_from(time.tm_mon).ok();
        f.write_str(month.and_then(|month| MONTHS.get(month)).unwrap_or(&"???"))?;
        match self.zeros {
            true => write!(f, " {:02}", time.tm_mday),
            false => write!(f, " {:2}", time.tm_mday),
        }?;
        let (hour, min, sec) = (time.tm_hour, time.tm_min, time.tm_sec);
        write!(f, " {hour:02}:{min:02}:{sec:02}")
    }
}

fn seconds(when: SystemTime) -> u64 {
    let since_epoch = when.duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}

fn empty() -> libc::tm {
    // SAFETY: all-zero is a valid tm (numbers and a null pointer).
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_padded_with_a_blank_or_a_zero() {
        let time = libc::tm {
            tm_mon: 10,
            tm_mday: 4,
            tm_hour: 1,
            ..empty()
        };
        assert_eq!(LocalTime(time).ctime().to_string(), "Nov  4 01:00:00");
        assert_eq!(LocalTime(time).log_stamp().to_string(), "Nov 04 01:00:00");
    }
}
