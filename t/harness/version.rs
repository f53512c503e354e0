//! Versions of Postfix: the version of a program under test, and the range of versions
//! for which an expectation holds.

use std::path::Path;

use super::ask::ask;

/// The first two numbers of a version; expectations do not depend on the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// Parses the first two numbers of `3.10` or `3.10.13` or `3.10-20250101`.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.split(['.', '-']).map(str::parse);
        Some(Version {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
        })
    }

    /// The version of a program, which is told to begin each line of its log with
    /// `$mail_version`.
    pub fn of(binary: &Path) -> Version {
        let said = ask(binary, "syslog_name=$mail_version");
        let version = said.as_deref().unwrap_or_default().split('/').next();
        version.and_then(Version::parse).unwrap_or_else(|| {
            panic!("no version of {}: {said:?}", binary.display());
        })
    }
}

/// A range of versions: `since 3.9`, `before 3.11`, both, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    since: Option<Version>,
    before: Option<Version>,
}

impl Versions {
    /// Adds a limit: `since` or `before`, and a version. Returns false if `word` is
    /// another one or `version` is not valid.
    pub fn restrict(&mut self, word: &str, version: &str) -> bool {
        let limit = match word {
            "since" => &mut self.since,
            "before" => &mut self.before,
            _ => return false,
        };
        *limit = Version::parse(version);
        limit.is_some()
    }

    /// Returns true if `version` is in the range.
    pub fn contain(&self, version: Version) -> bool {
        self.since.is_none_or(|since| since <= version)
            && self.before.is_none_or(|before| version < before)
    }

    /// A version in the range, which must have a limit.
    pub fn example(&self) -> Version {
        let last = self.before.map(|before| Version {
            minor: before.minor - 1,
            ..before
        });
        self.since.or(last).expect("a version was named")
    }
}
