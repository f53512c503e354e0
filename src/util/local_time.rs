//! `local_time`: the time of day as log lines have it.
//!
//! The time zone is that of the start of the program: in a chroot jail there are
//! no files to read it from.

use std::fmt;
use std::time::SystemTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads the time zone's rules; to be called once, before chroot(2). What
/// tzset(3) does, which the libc crate does not have: localtime(3) does it first.
pub fn tzset() {
    let time = 0;
    // SAFETY: `time` outlives the call; the result, which is shared, is not
    // looked at.
    unsafe { libc::localtime(&time) };
}

/// A moment in the local time zone.
#[derive(Clone, Copy)]
pub struct LocalTime(libc::tm);

impl LocalTime {
    /// The local time at `when`.
    pub fn at(when: SystemTime) -> LocalTime {
        // (Its type has two sizes on some systems, and its name is deprecated.)
        let time = seconds(when) as _;
        let mut tm = empty();
        // SAFETY: both pointers are to locals that outlive the call.
        unsafe { libc::localtime_r(&time, &mut tm) };
        LocalTime(tm)
    }

    /// `Nov  4 01:48:58`, as ctime(3) has it between weekday and year.
    pub fn ctime(self) -> Stamp {
        Stamp {
            time: self.0,
            zeros: false,
        }
    }

    /// `Nov 04 01:48:58`, as a mail log line begins.
    pub fn log_stamp(self) -> Stamp {
        Stamp {
            time: self.0,
            zeros: true,
        }
    }
}

/// A moment as text.
pub struct Stamp {
    time: libc::tm,
    /// The day is padded with zeros.
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
