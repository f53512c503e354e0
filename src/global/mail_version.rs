//! `mail_version`: the version of Postfix whose behaviour this daemon has.
//!
//! One build can serve another version of Postfix. Each difference between
//! versions is a function of [`MailVersion`].
//!
//! The version is the one that is compiled in, unless `-o mail_version=N.N` in
//! master.cf names another one. `mail_version` in main.cf only sets the value of
//! `$mail_version`, because an administrator may hide the version or invent one. The
//! same is true of an option whose value is not a version number.

use super::build;

/// The first two numbers of a version of Postfix: major and minor release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailVersion {
    major: u32,
    minor: u32,
}

impl MailVersion {
    /// The version that is compiled in.
    pub const BUILT_IN: MailVersion = match MailVersion::parse(build::MAIL_VERSION.as_bytes()) {
        Some(version) => version,
        None => panic!("SCACHE_MAIL_VERSION is not a version number"),
    };

    /// The version `major`.`minor`.
    pub const fn new(major: u32, minor: u32) -> MailVersion {
        MailVersion { major, minor }
    }

    /// Parses a version number: two numbers with a dot between them, then the end
    /// or a dot or hyphen and any text. None if it is malformed.
    ///
    /// ```
    /// use scache::global::mail_version::MailVersion;
    /// let version = MailVersion::parse(b"3.10.2").unwrap();
    /// assert!(version > MailVersion::parse(b"3.9-20240101").unwrap());
    /// assert_eq!(MailVersion::parse(b"hidden"), None);
    /// ```
    pub const fn parse(text: &[u8]) -> Option<MailVersion> {
        let Some((major, [b'.', rest @ ..])) = number(text) else {
            return None;
        };
        match number(rest) {
            Some((minor, [] | [b'.' | b'-', ..])) => Some(MailVersion::new(major, minor)),
            _ => None,
        }
    }

    /// Returns true if a server announces its protocol to a client that connects. If the
    /// version is not that of the clients, they may not use the server.
    pub fn announces_protocol(self) -> bool {
        self.since(3, 6)
    }

    /// Returns true if a null byte in main.cf is logged as a warning.
    pub fn warns_of_null_bytes(self) -> bool {
        self.since(3, 9)
    }

    /// Returns true if the message about two accounts with the same user or group ID has
    /// that ID.
    pub fn logs_ids_of_accounts(self) -> bool {
        self.since(3, 9)
    }

    /// Returns true if a parameter value can call functions.
    pub fn has_functions(self) -> bool {
        self.since(3, 11)
    }

    /// Returns true if a process_name in main.cf or with -o is ignored.
    pub fn sets_process_name_last(self) -> bool {
        self.since(3, 12)
    }

    fn since(self, major: u32, minor: u32) -> bool {
        self >= MailVersion::new(major, minor)
    }
}

/// Name and version of this program, between two null bytes.
pub const SCACHE_VERSION: &str = concat!("\0scache ", env!("CARGO_PKG_VERSION"), " (Rust)\0");

/// The version of Postfix that is compiled in, between two null bytes, so that
/// `strings scache` shows it. The original's `MAIL_VERSION_STAMP_DECLARE`.
pub const MAIL_VERSION_STAMP: [u8; STAMP_LENGTH] = {
    let mut stamp = [0; STAMP_LENGTH];
    let mut at = 1;
    while at + 1 < STAMP_LENGTH {
        stamp[at] = match at.checked_sub(1 + STAMP_NAME.len()) {
            Some(index) => build::MAIL_VERSION.as_bytes()[index],
            None => STAMP_NAME.as_bytes()[at - 1],
        };
        at += 1;
    }
    stamp
};

const STAMP_NAME: &str = "mail_version=";
const STAMP_LENGTH: usize = STAMP_NAME.len() + build::MAIL_VERSION.len() + 2;

/// Converts a decimal number. Also returns the rest. None if there is no digit.
const fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut value: u32 = 0;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        value = value
            .saturating_mul(10)
            .saturating_add((*digit - b'0') as u32);
        rest = tail;
    }
    match rest.len() < text.len() {
        true => Some((value, rest)),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_number_is_two_numbers_and_anything() {
        let parse = |text: &str| MailVersion::parse(text.as_bytes());
        for text in [
            "3.10",
            "3.10.4",
            "3.10-RC1",
            "3.10.",
            "03.010",
            "3.10-20250101-nonprod",
        ] {
            assert_eq!(parse(text), parse("3.10.0"), "{text}");
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "", "3", "3.", ".3", "3.x", "3.6x", "x3.6", "-3.6", "+3.6", " 3.6", "hidden",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_two_numbers_decide_about_the_announcement() {
        for (version, announces) in [
            ("3.5.25", false),
            ("3.6", true),
            ("3.6.0", true),
            ("3.10-20240101", true),
            ("4.0", true),
            ("2.99", false),
            ("3.99999999999", true),
        ] {
            let parsed = MailVersion::parse(version.as_bytes()).unwrap();
            assert_eq!(parsed.announces_protocol(), announces, "{version}");
        }
    }
}
