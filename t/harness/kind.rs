//! Which of the two daemons a program is.

use std::fs;
use std::path::Path;

/// Which daemon it is: some expectations are for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The C daemon of Postfix.
    C,
    /// This one.
    Port,
}

impl Kind {
    /// The C daemon is linked with the libraries of Postfix.
    pub fn of(binary: &Path) -> Kind {
        let needle = b"libpostfix";
        let bytes = fs::read(binary).unwrap_or_default();
        match bytes.windows(needle.len()).any(|window| window == needle) {
            true => Kind::C,
            false => Kind::Port,
        }
    }

    /// What begins the lines of a transcript that are for this one only.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::C => "c: ",
            Kind::Port => "port: ",
        }
    }
}
