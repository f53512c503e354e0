//! The values that are compiled into a program under test, such as `<mail_version>`:
//! expected messages contain their Postfix names instead.

use std::path::Path;

use super::ask::ask;

/// Values that the builder of a package chooses and that tests expect in messages.
const NAMES: [&str; 8] = [
    "command_directory",
    "daemon_directory",
    "data_directory",
    "default_privs",
    "mail_release_date",
    "mail_version",
    "meta_directory",
    "shlib_directory",
];

/// The values, in the order of [`NAMES`].
#[derive(Clone, Debug)]
pub struct BuiltIn(Vec<String>);

impl BuiltIn {
    /// The values of a program, which logs them in a message about a bad value.
    pub fn of(binary: &Path) -> BuiltIn {
        const BAD_VALUE: &str = "bad time value or unit: x";
        let values = NAMES.map(|name| format!("${name}")).join("|");
        let said = ask(binary, &format!("connection_cache_ttl_limit=x{values}"));
        let said = said.unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let values = said.lines().find_map(|line| line.split_once(BAD_VALUE));
        let values = values.unwrap_or_else(|| panic!("no values that are compiled in: {said}"));
        let values: Vec<String> = values.1.split('|').map(str::to_string).collect();
        assert_eq!(values.len(), NAMES.len(), "{values:?}");
        BuiltIn(values)
    }

    /// Replaces names in angle brackets, such as `<mail_version>`, with values.
    pub fn fill_in(&self, text: &str) -> String {
        let pairs = NAMES.iter().zip(&self.0);
        pairs.fold(text.to_string(), |text, (name, value)| {
            text.replace(&format!("<{name}>"), value)
        })
    }
}
