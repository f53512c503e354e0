//! Versions of Postfix: which one a program is of, and for which ones an
//! expectation holds.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use super::directory::Directory;

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
        let said = Version::ask(binary);
        let version = said.as_deref().unwrap_or_default().split('/').next();
        version.and_then(Version::parse).unwrap_or_else(|| {
            panic!("what version is {}? It says {said:?}", binary.display());
        })
    }

    fn ask(binary: &Path) -> io::Result<String> {
        let directory = Directory::new()?;
        let main_cf = directory.path().join("main.cf");
        fs::write(&main_cf, "mail_owner = daemon\n")?;
        // The C daemon waits until the file is a little older.
        let file = File::options().write(true).open(&main_cf)?;
        file.set_modified(SystemTime::UNIX_EPOCH)?;
        let request = directory.path().join("request");
        fs::write(&request, "request\0find_endp\0label\0version\0\0")?;
        let output = Command::new(binary)
            .args(["-V", "-S", "-o", "syslog_name=$mail_version", "-o"])
            .arg(format!("queue_directory={}", directory.path().display()))
            .env_clear()
            .env("MAIL_CONFIG", directory.path())
            .stdin(File::open(request)?)
            .output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
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
