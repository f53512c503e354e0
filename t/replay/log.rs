//! Compares the log of a replay with the transcript: without the program's name, and with
//! times, descriptors and some reasons masked, because they differ from run to run.

use crate::harness::log_text::has_form;

/// Starts of lines that the C program logs with -v about functions that this one does
/// not have.
const NOT_WANTED: [&str; 4] = [
    "name_mask: ",
    "inet_addr_local: ",
    "been_here: ",
    "mynetworks_core: ",
];

/// The first line of this daemon with -v has its name and version.
const VERSION: &str = " (Rust), for Postfix ";

/// The start of every line.
const IDENT: &str = "postfix/scache: ";

/// The lines to compare, masked.
pub fn masked(lines: &[String]) -> Vec<String> {
    let text = lines
        .iter()
        .map(|line| line.strip_prefix(IDENT).unwrap_or(line));
    let wanted = text.filter(|line| {
        let other = NOT_WANTED.iter().any(|part| line.starts_with(part));
        !other && !line.contains(VERSION)
    });
    wanted
        .map(|line| mask_fds(&mask_reason(&mask_time(line))))
        .collect()
}

/// Masks the start of the statistics interval.
fn mask_time(line: &str) -> String {
    const START: &str = "statistics: start interval ";
    match line.strip_prefix(START) {
        Some(time) if has_form(time, "Aaa _0 00:00:00") => format!("{START}Mmm dd hh:mm:ss"),
        _ => line.to_string(),
    }
}

/// Masks a reason that means nothing: when a message had no descriptor, or a list was not
/// the dummy, the C program logs errno as an earlier call left it.
fn mask_reason(line: &str) -> String {
    match line.rsplit_once(" file descriptor: ") {
        Some((what, "No such process" | "Success" | "Application error")) => {
            format!("{what} file descriptor: (none)")
        }
        _ => line.to_string(),
    }
}

/// Masks descriptors: `fd=7` and `fd 7` become `fd=NN` and `fd NN`; `fd=-1` stays.
fn mask_fds(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("fd") {
        let (before, after) = rest.split_at(at + 2);
        masked.push_str(before);
        rest = after;
        if !before[..at].ends_with(|last: char| last.is_ascii_alphanumeric())
            && rest.starts_with([' ', '='])
        {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                masked.push_str(&rest[..1]);
                masked.push_str("NN");
                rest = &rest[1 + digits..];
            }
        }
    }
    masked + rest
}

/// The first difference between two logs.
pub struct Difference {
    /// The number of the line, from 0.
    pub index: usize,
    /// Text with both lines; the end of a log is `(nothing more)`.
    pub what: String,
}

/// Finds the first line of `came` that is not as in `wanted`. None if all are.
pub fn difference(wanted: &[String], came: &[String]) -> Option<Difference> {
    let longest = wanted.len().max(came.len());
    let index = (0..longest).find(|&index| wanted.get(index) != came.get(index))?;
    let line = |lines: &[String]| {
        lines
            .get(index)
            .map_or("(nothing more)".into(), String::clone)
    };
    let (wanted, came) = (line(wanted), line(came));
    let same = wanted
        .bytes()
        .zip(came.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let (wanted, came) = (shortened(&wanted, same), shortened(&came, same));
    Some(Difference {
        index,
        what: format!("\n    expected  {wanted}\n    came      {came}"),
    })
}

/// Shortens a long line to the part around the first difference.
fn shortened(line: &str, same: usize) -> String {
    const LONG: usize = 200;
    const AROUND: usize = 40;
    if line.len() <= LONG {
        return line.to_string();
    }
    let bytes = &line.as_bytes()[same.saturating_sub(AROUND)..line.len().min(same + AROUND)];
    let part = String::from_utf8_lossy(bytes);
    format!("...{part}... (byte {same} of {})", line.len())
}
