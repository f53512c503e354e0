//! Makes log lines of different C libraries, and of both programs, comparable.

use std::io;

/// The bytes that syslog(3) of this C library appends to a line.
pub const SYSLOG_END: &str = if cfg!(target_env = "musl") { "\n" } else { "" };

/// Replaces the text of an error: recorded lines have that of glibc.
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

/// Replaces each run of bytes that are not valid UTF-8, and each run of control characters
/// beyond ASCII, with one `?`: the C program logs these bytes, this program logs question
/// marks.
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

/// Returns true if a text is like `form`, in which `A` and `a` are letters, `0` is a
/// digit, `_` is the first digit of a day or a blank, and the rest is itself.
pub fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && form
            .chars()
            .zip(text.chars())
            .all(|(form, char)| match form {
                'A' => char.is_ascii_uppercase(),
                'a' => char.is_ascii_lowercase(),
                '0' => char.is_ascii_digit(),
                '_' => matches!(char, ' ' | '1'..='3'),
                other => char == other,
            })
}
