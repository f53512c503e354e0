//! Tells whether a program under test is the C program or this one, and for which version
//! of Postfix it is: expectations depend on both.

use std::fs;
use std::path::Path;

use super::version::{Version, Versions};

/// Some expectations are for one of the two programs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The C program, Postfix's scache.
    C,
    /// This one.
    Port,
}

impl Kind {
    /// The kind of a program: the C program is linked with the libraries of Postfix.
    pub fn of(binary: &Path) -> Kind {
        let needle = b"libpostfix";
        let bytes = fs::read(binary).unwrap_or_default();
        match bytes.windows(needle.len()).any(|window| window == needle) {
            true => Kind::C,
            false => Kind::Port,
        }
    }

    /// The prefix of lines in a transcript that are for this kind of program only.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::C => "c: ",
            Kind::Port => "port: ",
        }
    }
}

/// The version of Postfix that expectations are recorded from, unless they say
/// otherwise.
const RECORDED: Version = Version { major: 3, minor: 7 };

/// A program under test.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The C program or this one.
    pub kind: Kind,
    /// The version of Postfix that it was built for.
    pub version: Version,
}

impl Program {
    /// The program in a file.
    pub fn of(binary: &Path) -> Program {
        Program {
            kind: Kind::of(binary),
            version: Version::of(binary),
        }
    }

    /// The arguments that make it behave as the version that most expectations were
    /// recorded from.
    pub fn as_recorded(&self) -> Vec<String> {
        if self.kind == Kind::C || self.version == RECORDED {
            return Vec::new();
        }
        pass_for(RECORDED)
    }

    /// The arguments that make it behave as one of these versions. None for a C program of
    /// another version, which no argument can change.
    pub fn arguments(&self, versions: &Versions) -> Option<Vec<String>> {
        if versions.contain(self.version) {
            return Some(Vec::new());
        }
        (self.kind == Kind::Port).then(|| pass_for(versions.example()))
    }
}

fn pass_for(Version { major, minor }: Version) -> Vec<String> {
    vec!["-o".into(), format!("mail_version={major}.{minor}")]
}
