//! `generation`: the Postfix that this daemon passes for.
//!
//! One build can serve a Postfix of another version. What differs between
//! versions goes by the generation, and this is the one place that says what
//! that is: each difference is a function of [`Generation`].
//!
//! The generation is that of the version that is compiled in, unless
//! `-o mail_version=N.N` in master.cf names another one. `mail_version` in
//! main.cf is for the administrator to hide or to invent, and so is an option
//! whose value is no version number: it is what `$mail_version` becomes, no
//! more.

use super::build;

/// A version of Postfix, as far as one differs from the next: its first two
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    major: u32,
    minor: u32,
}

impl Generation {
    /// That of the version that is compiled in.
    pub const BUILT_IN: Generation = match Generation::of_version(build::MAIL_VERSION.as_bytes()) {
        Some(generation) => generation,
        None => panic!("SCACHE_MAIL_VERSION is no version number"),
    };

    /// That of these two numbers.
    pub const fn new(major: u32, minor: u32) -> Generation {
        Generation { major, minor }
    }

    /// That of a version number: two numbers with a dot between, and nothing
    /// more, or what comes after another dot or a hyphen.
    ///
    /// ```
    /// use scache::global::generation::Generation;
    /// let generation = Generation::of_version(b"3.10.2").unwrap();
    /// assert!(generation > Generation::of_version(b"3.9-20240101").unwrap());
    /// assert_eq!(Generation::of_version(b"hidden"), None);
    /// ```
    pub const fn of_version(text: &[u8]) -> Option<Generation> {
        let Some((major, [b'.', rest @ ..])) = number(text) else {
            return None;
        };
        match number(rest) {
            Some((minor, [] | [b'.' | b'-', ..])) => Some(Generation::new(major, minor)),
            _ => None,
        }
    }

    /// Whether a server tells its clients which protocol it speaks before they
    /// say anything. With a wrong one, clients do without the server.
    pub fn announces_protocol(self) -> bool {
        self.since(3, 6)
    }

    /// Whether a null byte in main.cf is worth a warning.
    pub fn warns_of_null_bytes(self) -> bool {
        self.since(3, 9)
    }

    /// Whether the message about a user that is another, too, tells the number.
    pub fn names_numbers_of_accounts(self) -> bool {
        self.since(3, 9)
    }

    /// Whether a parameter value can call functions.
    pub fn calls_functions(self) -> bool {
        self.since(3, 11)
    }

    /// Whether a process_name in main.cf or with -o is ignored.
    pub fn knows_its_process_name(self) -> bool {
        self.since(3, 12)
    }

    fn since(self, major: u32, minor: u32) -> bool {
        self >= Generation::new(major, minor)
    }
}

/// What `strings scache` shows of the version that is compiled in, between two
/// null bytes. The original has the same.
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

/// A decimal number, and what follows.
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
    fn a_version_number_is_two_numbers_and_more() {
        let of = |text: &str| Generation::of_version(text.as_bytes());
        for text in [
            "3.10",
            "3.10.4",
            "3.10-RC1",
            "3.10.",
            "03.010",
            "3.10-20250101-nonprod",
        ] {
            assert_eq!(of(text), of("3.10.0"), "{text}");
            assert!(of(text).is_some(), "{text}");
        }
        for text in [
            "", "3", "3.", ".3", "3.x", "3.6x", "x3.6", "-3.6", "+3.6", " 3.6", "hidden",
        ] {
            assert_eq!(of(text), None, "{text}");
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
            let generation = Generation::of_version(version.as_bytes()).unwrap();
            assert_eq!(generation.announces_protocol(), announces, "{version}");
        }
    }
}
