//! Versions of Postfix: which one a program is of, and for which ones an
//! expectation holds.

use std::path::Path;

use super::ask::ask;

/// A version, as far as expectations depend on it: its first two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl Version {
    /// `3.10`, or what begins like that.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.split(['.', '-']).map(str::parse);
        Some(Version {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
        })
    }

    /// What the program itself says: its log, which begins each line with
    /// `$mail_version`, has statistics after a lookup.
    pub fn of(binary: &Path) -> Version {
        let said = ask(binary, "syslog_name=$mail_version");
        let version = said.as_deref().unwrap_or_default().split('/').next();
        version.and_then(Version::parse).unwrap_or_else(|| {
            panic!("what version is {}? It says {said:?}", binary.display());
        })
    }
}

/// For which versions something holds: `since 3.9`, `before 3.11`, both, or
/// for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    since: Option<Version>,
    before: Option<Version>,
}

impl Versions {
    /// Takes `since` or `before` and a version into account. False when the
    /// word is another one, or what follows is no version.
    pub fn restrict(&mut self, word: &str, version: &str) -> bool {
        let limit = match word {
            "since" => &mut self.since,
            "before" => &mut self.before,
            _ => return false,
        };
        *limit = Version::parse(version);
        limit.is_some()
    }

    /// Is it one of them?
    pub fn contain(&self, version: Version) -> bool {
        self.since.is_none_or(|since| since <= version)
            && self.before.is_none_or(|before| version < before)
    }

    /// One of them.
    pub fn example(&self) -> Version {
        let last = self.before.map(|before| Version {
            minor: before.minor - 1,
            ..before
        });
        self.since.or(last).expect("a version was named")
    }
}
