//! Log lines, fit to be compared.

use std::io;

/// What syslog(3) of this C library puts at the end of a line.
pub const SYSLOG_END: &str = if cfg!(target_env = "musl") { "\n" } else { "" };

/// What is recorded has the words of glibc for an error; the same in the words
/// of this C library.
pub fn in_words_of_libc(line: &str) -> String {
    const RECORDED: [(libc::c_int, &str); 3] = [
        (libc::ETIMEDOUT, "Connection timed out"),
        (libc::ENOMEM, "Cannot allocate memory"),
        (libc::ENOTSOCK, "Socket operation on non-socket"),
    ];
    let mut text = line.to_string();
    for (error, words) in RECORDED {
        let ours = io::Error::from_raw_os_error(error).to_string();
        let number = format!(" (os error {error})");
        text = text.replace(words, ours.trim_end_matches(&number));
    }
    text
}

/// A line with one `?` for what is not readable: of a character that is not
/// whole, or that a terminal would obey, the C daemon logs the bytes there
/// are, this one question marks.
pub fn readable(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let c = match c {
            '\u{fffd}' | '\u{80}'..='\u{9f}' => '?',
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
            c => c,
        };
        if c != '?' || !text.ends_with('?') {
            text.push(c);
        }
    }
    text
}
