//! `strerror`: the text of an error, as strerror(3) returns it.

use std::io;

/// Returns "No such file or directory", not "No such file or directory (os error
/// 2)". For messages that have `%m` in the C program.
pub fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text
            .strip_suffix(&format!(" (os error {number})"))
            .unwrap_or(&text)
            .to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_left_out() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(strerror(&error), "No such file or directory");
        assert_eq!(strerror(&io::Error::other("x")), "x");
    }
}
