//! `strerror`: the reason of an error as the C library words it.

use std::io;

/// The reason for a message, like `%m` in the original: "No such file or
/// directory" and not "No such file or directory (os error 2)".
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
