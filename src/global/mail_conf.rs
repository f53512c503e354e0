//! `mail_conf`: main.cf and its parameters. The original's `mail_conf`,
//! `mail_conf_str`, `mail_conf_int`, `mail_conf_time` and `mail_conf_bool`.
//!
//! [`MailConf`] is the dictionary that the C program calls `mail_dict`: names and
//! values, both byte strings. It is filled from main.cf, then from command-line
//! options, which override main.cf. A value is stored unexpanded, and expanded at each
//! lookup.
//!
//! The `get_mail_conf_...` functions look up one parameter and check it. If it is
//! not set, they store its default in the dictionary, where `$name` finds it from
//! then on: a value can refer to the parameters that were looked up before. The
//! order is that of the C program, see [`mail_params`](super::mail_params).
//!
//! A main.cf that was modified in this second or the one before may be incomplete. It is
//! read again, as in the C program, but here only the last reading has an effect.
//!
//! Functions fail with the text of a fatal message.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::compat_level::LEVEL_RELOP;
use super::mac_functions::MAC_FUNCTIONS;
use super::mail_version::MailVersion;
use crate::msg_warn;
use crate::util::conv_time::conv_time;
use crate::util::mac_expand::{MacError, MacExpand};
use crate::util::printable::printable;
use crate::util::readlline::readllines;
use crate::util::split_nameval::split_nameval;
use crate::util::strerror::strerror;
use crate::util::strtol::strtol;

/// Time to wait before a file that is too new is read again.
const READ_PAUSE: Duration = Duration::from_millis(300);

/// All parameters.
#[derive(Clone, Debug)]
pub struct MailConf {
    path: PathBuf,
    mail_version: MailVersion,
    dict: HashMap<Vec<u8>, Vec<u8>>,
}

impl MailConf {
    /// A dictionary with `config_directory` only.
    pub fn new(config_dir: &Path, mail_version: MailVersion) -> Self {
        let dir = config_dir.as_os_str().as_bytes();
        let mut conf = MailConf {
            // Not Path::join: if the directory is empty, the file is /main.cf.
            path: OsString::from_vec([dir, b"/main.cf"].concat()).into(),
            mail_version,
            dict: HashMap::new(),
        };
        conf.update(b"config_directory", dir);
        conf
    }

    /// The pathname of main.cf, for messages.
    pub fn path(&self) -> String {
        printable(self.path.as_os_str().as_bytes()).to_string()
    }

    /// The version of Postfix that uses this main.cf.
    pub fn mail_version(&self) -> MailVersion {
        self.mail_version
    }

    /// Reads main.cf. A later value overrides an earlier one, with a warning.
    /// The original's `mail_conf_suck()`: without the check of the directory.
    pub fn load(&mut self) -> Result<(), String> {
        let path = self.path();
        let content = read_until_stable(&self.path, &path)?;
        for line in readllines(&path, &content, self.mail_version.warns_of_null_bytes()) {
            let lineno = line.lineno;
            let text = line.text.split(|&c| c == 0).next().unwrap_or_default();
            let (name, value) = split_nameval(text).map_err(|problem| {
                format!("{path}, line {lineno}: {problem}: \"{}\"", printable(text))
            })?;
            if let Some(old) = self.lookup(name).filter(|&old| old != value) {
                msg_warn!(
                    "{path}, line {lineno}: overriding earlier entry: {}={}",
                    printable(name),
                    printable(old)
                );
            }
            self.update(name, value);
        }
        Ok(())
    }

    /// Sets the value of a parameter. The original's `mail_conf_update()`.
    pub fn update(&mut self, name: &[u8], value: &[u8]) {
        self.dict.insert(name.to_vec(), value.to_vec());
    }

    /// Sets a parameter from an option `-o name=value`.
    pub fn update_option(&mut self, option: &[u8]) -> Result<(), String> {
        let (name, value) = split_nameval(option).map_err(|problem| {
            format!(
                "invalid \"-o {}\" option value: {problem}",
                printable(option)
            )
        })?;
        self.update(name, value);
        Ok(())
    }

    /// The unexpanded value of a parameter. None if it is not set.
    /// The original's `mail_conf_lookup()`.
    pub fn lookup(&self, name: &[u8]) -> Option<&[u8]> {
        self.dict.get(name).map(Vec::as_slice)
    }

    /// The expanded value of a parameter. None if it is not set.
    /// The original's `mail_conf_lookup_eval()`.
    pub fn lookup_eval(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.lookup(name.as_bytes())
            .map(|value| self.eval(value))
            .transpose()
    }

    /// Expands the `$name` expressions in a text. The original's `mail_conf_eval()`.
    pub fn eval(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let functions = match self.mail_version.has_functions() {
            true => MAC_FUNCTIONS,
            false => &[],
        };
        MacExpand::new(&|name| self.lookup(name), &[LEVEL_RELOP], functions)
            .expand(text)
            .map_err(|error| match error {
                MacError::Logged => "dictionary mail_dict: macro processing error".to_string(),
                MacError::Fatal(text) => text,
            })
    }

    /// Stores the expanded default of a parameter that is not set.
    pub fn set_default(&mut self, name: &str, default: &[u8]) -> Result<(), String> {
        if self.lookup(name.as_bytes()).is_none() {
            let value = self.eval(default)?;
            self.update(name.as_bytes(), &value);
        }
        Ok(())
    }

    /// Returns the expanded value, or the expanded default, which is stored.
    fn eval_or_default(&mut self, name: &str, default: &[u8]) -> Result<Vec<u8>, String> {
        if let Some(value) = self.lookup_eval(name)? {
            return Ok(value);
        }
        let value = self.eval(default)?;
        self.update(name.as_bytes(), &value);
        Ok(value)
    }

    /// Looks up a string of at least `min` bytes.
    /// The original's `get_mail_conf_str()`.
    pub fn get_mail_conf_str(
        &mut self,
        name: &str,
        default: &[u8],
        min: usize,
    ) -> Result<Vec<u8>, String> {
        let value = self.eval_or_default(name, default)?;
        if value.len() < min {
            return Err(format!(
                "bad string length {} < {min}: {name} = {}",
                value.len(),
                printable(&value)
            ));
        }
        Ok(value)
    }

    /// Looks up a number of at least `min`. The original's `get_mail_conf_int()`.
    pub fn get_mail_conf_int(&mut self, name: &str, default: i32, min: i32) -> Result<i32, String> {
        let text = self.eval_or_default(name, default.to_string().as_bytes())?;
        let number = strtol(&text);
        let value = i32::try_from(number.value)
            .ok()
            .filter(|_| !text.is_empty() && number.rest.is_empty() && !number.overflow)
            .ok_or_else(|| format!("bad numerical configuration: {name} = {}", printable(&text)))?;
        if value < min {
            return Err(format!("invalid {name} parameter value {value} < {min}"));
        }
        Ok(value)
    }

    /// Looks up a time of at least `min` seconds. The last letter of the default is
    /// the default unit. The original's `get_mail_conf_time()`.
    pub fn get_mail_conf_time(
        &mut self,
        name: &str,
        default: &str,
        min: i32,
    ) -> Result<i32, String> {
        let unit = default.bytes().next_back().unwrap_or(b's');
        let text = self.eval_or_default(name, default.as_bytes())?;
        let value = conv_time(&text, unit).ok_or_else(|| {
            format!(
                "parameter {name}: bad time value or unit: {}",
                printable(&text)
            )
        })?;
        if value < min {
            return Err(format!("invalid {name}: {value} (min {min})"));
        }
        Ok(value)
    }

    /// Looks up `yes` or `no`. The original's `get_mail_conf_bool()`.
    pub fn get_mail_conf_bool(&mut self, name: &str, default: &str) -> Result<bool, String> {
        let text = self.eval_or_default(name, default.as_bytes())?;
        if text.eq_ignore_ascii_case(b"yes") {
            Ok(true)
        } else if text.eq_ignore_ascii_case(b"no") {
            Ok(false)
        } else {
            Err(format!(
                "bad boolean configuration: {name} = {}",
                printable(&text)
            ))
        }
    }
}

/// Reads a file until it was not modified in the second of the reading or the one
/// before, as the C program does. A time in the future counts as old.
fn read_until_stable(path: &Path, name: &str) -> Result<Vec<u8>, String> {
    let mut before = now();
    loop {
        let mut content = Vec::new();
        let failed = |call| move |err| format!("{call} {name}: {}", strerror(&err));
        let mut file = File::open(path).map_err(failed("open"))?;
        file.read_to_end(&mut content).map_err(failed("read"))?;
        let modified = file.metadata().map_err(failed("fstat"))?.mtime();
        let after = now();
        if modified < before - 1 || modified > after {
            return Ok(content);
        }
        thread::sleep(READ_PAUSE);
        before = after;
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0, |time| time.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(values: &[&str]) -> MailConf {
        let mut conf = MailConf::new(Path::new("/conf"), MailVersion::BUILT_IN);
        for value in values {
            conf.update_option(value.as_bytes()).unwrap();
        }
        conf
    }

    fn load(content: &[u8]) -> Result<MailConf, String> {
        load_from(&directory(content, SystemTime::UNIX_EPOCH))
    }

    fn load_from(dir: &Path) -> Result<MailConf, String> {
        let mut conf = MailConf::new(dir, MailVersion::BUILT_IN);
        let result = conf.load();
        std::fs::remove_dir_all(dir).unwrap();
        result
            .map(|()| conf)
            .map_err(|text| text.replace(&*dir.to_string_lossy(), "DIR"))
    }

    /// Makes a directory with a main.cf that was modified at that time.
    fn directory(content: &[u8], modified: SystemTime) -> PathBuf {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("mail_conf.{}.{count}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("main.cf"), content).unwrap();
        let file = File::options().write(true).open(dir.join("main.cf"));
        file.unwrap().set_modified(modified).unwrap();
        dir
    }

    #[test]
    fn a_file_that_is_being_written_is_read_when_it_is_whole() {
        let dir = directory(b"a = 1\nhal", SystemTime::now());
        let path = dir.join("main.cf");
        let writer = thread::spawn(move || {
            thread::sleep(READ_PAUSE);
            std::fs::write(path, b"a = 1\nhalf = whole\n").unwrap();
        });
        let conf = load_from(&dir).unwrap();
        writer.join().unwrap();
        assert_eq!(conf.lookup(b"half"), Some(&b"whole"[..]));
    }

    #[test]
    fn a_file_from_the_future_is_not_waited_for() {
        let tomorrow = SystemTime::now() + Duration::from_secs(86400);
        let conf = load_from(&directory(b"a = 1\n", tomorrow)).unwrap();
        assert_eq!(conf.lookup(b"a"), Some(&b"1"[..]));
    }

    #[test]
    fn the_last_value_in_the_file_wins() {
        let conf = load(b"a = 1\nb=\n x\na=2\n\xff=\xfe\n").unwrap();
        assert_eq!(conf.lookup(b"a"), Some(&b"2"[..]));
        assert_eq!(conf.lookup(b"b"), Some(&b"x"[..]));
        assert_eq!(conf.lookup(b"\xff"), Some(&b"\xfe"[..]));
        assert_eq!(conf.lookup(b"c"), None);
    }

    #[test]
    fn a_null_byte_ends_the_line() {
        let conf = load(b"a=1\0b\n c\n").unwrap();
        assert_eq!(conf.lookup(b"a"), Some(&b"1"[..]));
    }

    #[test]
    fn a_bad_line_is_shown_with_the_number_of_its_first() {
        assert_eq!(
            load(b"a=1\n\nb\n  c\n").unwrap_err(),
            "DIR/main.cf, line 3: missing '=' after attribute name: \"b  c\""
        );
        assert_eq!(
            load(b"=1\n").unwrap_err(),
            "DIR/main.cf, line 1: missing attribute name: \"=1\""
        );
        let gone = directory(b"", SystemTime::UNIX_EPOCH);
        std::fs::remove_dir_all(&gone).unwrap();
        let text = format!("open {}/main.cf: No such file or directory", gone.display());
        assert_eq!(
            MailConf::new(&gone, MailVersion::BUILT_IN).load(),
            Err(text)
        );
    }

    #[test]
    fn an_option_needs_a_name_and_an_equals_sign() {
        let mut conf = conf(&["a=1", " a = 2 "]);
        assert_eq!(conf.lookup(b"a"), Some(&b"2"[..]));
        assert_eq!(
            conf.update_option(b"a"),
            Err("invalid \"-o a\" option value: missing '=' after attribute name".into())
        );
    }

    #[test]
    fn a_default_can_be_referred_to_once_it_was_looked_up() {
        let mut conf = conf(&["b=<$a>", "max=$idle"]);
        assert_eq!(conf.get_mail_conf_str("b", b"", 0).unwrap(), b"<>");
        assert_eq!(conf.get_mail_conf_str("a", b"$c.", 0).unwrap(), b".");
        assert_eq!(conf.get_mail_conf_str("b", b"", 0).unwrap(), b"<.>");
        assert_eq!(
            conf.get_mail_conf_int("max", 1, 1),
            Err("bad numerical configuration: max = ".into())
        );
    }

    #[test]
    fn numbers_have_limits() {
        let mut conf = conf(&["zero=0", "big=2147483648", "no=1x", "neg=-1"]);
        let mut get = |name| conf.get_mail_conf_int(name, 100, 1);
        assert_eq!(get("unset"), Ok(100));
        assert_eq!(
            get("zero"),
            Err("invalid zero parameter value 0 < 1".into())
        );
        assert_eq!(get("neg"), Err("invalid neg parameter value -1 < 1".into()));
        assert_eq!(
            get("big"),
            Err("bad numerical configuration: big = 2147483648".into())
        );
        assert_eq!(
            get("no"),
            Err("bad numerical configuration: no = 1x".into())
        );
    }

    #[test]
    fn times_have_units_and_limits() {
        let mut conf = conf(&["zero=0", "two=2", "bad=x"]);
        assert_eq!(conf.get_mail_conf_time("unset", "100s", 1), Ok(100));
        assert_eq!(conf.get_mail_conf_time("two", "1h", 1), Ok(7200));
        assert_eq!(
            conf.get_mail_conf_time("zero", "1s", 1),
            Err("invalid zero: 0 (min 1)".into())
        );
        assert_eq!(
            conf.get_mail_conf_time("bad", "1s", 1),
            Err("parameter bad: bad time value or unit: x".into())
        );
    }

    #[test]
    fn strings_and_booleans_are_checked() {
        let mut conf = conf(&["empty=", "yes=YES", "no=no", "on=on"]);
        assert_eq!(
            conf.get_mail_conf_str("empty", b"x", 1),
            Err("bad string length 0 < 1: empty = ".into())
        );
        assert_eq!(conf.get_mail_conf_bool("yes", "no"), Ok(true));
        assert_eq!(conf.get_mail_conf_bool("no", "yes"), Ok(false));
        assert_eq!(
            conf.get_mail_conf_bool("on", "yes"),
            Err("bad boolean configuration: on = on".into())
        );
    }

    #[test]
    fn levels_can_be_compared_in_values() {
        let mut conf = conf(&["l=${{3.10} >level {3.9} ? {yes} : {no}}", "loop=$loop"]);
        assert_eq!(conf.get_mail_conf_bool("l", "no"), Ok(true));
        assert_eq!(
            conf.get_mail_conf_str("loop", b"", 0),
            Err("dictionary mail_dict: macro processing error".into())
        );
    }
}
