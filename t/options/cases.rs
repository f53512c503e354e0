//! Reads and writes the tables in t/options, in the notation that its README describes.

use std::os::unix::ffi::OsStringExt;
use std::{ffi::OsString, fmt::Write};

use crate::harness::version::Versions;

/// Options of every command before its own options. The first is for machines whose host
/// name is not valid.
const BASE: [&str; 5] = [
    "myhostname=mail.example.com",
    "queue_directory=DIR/queue",
    "mail_owner=OWNER",
    "setgid_group=bin",
    "compatibility_level=3.6",
];

/// How a case is written, and how its output is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `$`: a command line; exit status and messages in full.
    Command,
    /// `set`: one parameter; messages without the name of the program.
    Set,
    /// `expand`: an expression; its value, or messages like `set`.
    Expand,
}

#[derive(Clone, Debug)]
pub struct Case {
    /// The number of its first line.
    pub lineno: usize,
    /// How it is written.
    pub kind: Kind,
    /// The lines before its output.
    pub head: Vec<String>,
    /// Arguments of the program, in which `DIR` and `OWNER` are not yet replaced.
    pub args: Vec<Vec<u8>>,
    /// Variables that are added to its environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// The content of main.cf. None if there is no file.
    pub main_cf: Option<Vec<u8>>,
    /// Run it as nobody if the tests are run by root.
    pub as_nobody: bool,
    /// Standard input is a terminal.
    pub on_a_terminal: bool,
    /// Messages to syslog are part of the output.
    pub with_syslog: bool,
    /// Messages to this socket in queue/public are part of the output.
    pub postlog: Option<String>,
    /// The host name of the machine, if it matters.
    pub hostname: Option<String>,
    /// Lines of /etc/passwd.
    pub passwd: Vec<String>,
    /// Lines of /etc/group.
    pub group: Vec<String>,
    /// The versions of Postfix that it is for.
    pub versions: Versions,
    /// The two programs differ on purpose.
    pub differs: bool,
    /// The output of the C program.
    pub c: Vec<String>,
    /// The output of this program, if they differ.
    pub here: Vec<String>,
}

impl Case {
    /// The expected output of the C program or of this one.
    pub fn expected(&self, is_c: bool) -> &[String] {
        if self.differs && !is_c {
            &self.here
        } else {
            &self.c
        }
    }
}

/// A part of a table.
pub enum Item {
    /// A comment, an empty line, a definition.
    Text(String),
    Case(Box<Case>),
}

/// Parses a table. Panics with the line number of a mistake.
pub fn parse(content: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut options: Vec<Vec<u8>> = BASE.iter().map(|text| text.as_bytes().to_vec()).collect();
    for (line, lineno) in content.lines().zip(1..) {
        if let Some(text) = line.strip_prefix("    ") {
            let case = last_case(&mut items, lineno);
            match text.strip_prefix("here: ") {
                Some(text) => case.here.push(text.to_string()),
                None => case.c.push(text.to_string()),
            }
        } else if let Some(text) = line.strip_prefix("  ") {
            let case = last_case(&mut items, lineno);
            case.head.push(line.to_string());
            attribute(case, text, lineno);
        } else if let Some(case) = new_case(line, lineno, &options) {
            items.push(Item::Case(Box::new(case)));
        } else {
            if let Some(text) = line.strip_prefix("let ") {
                options.push(unescape(text));
            } else {
                let text = line.is_empty() || line.starts_with('#');
                assert!(text, "line {lineno}: unknown line: {line}");
            }
            items.push(Item::Text(line.to_string()));
        }
    }
    items
}

fn last_case(items: &mut [Item], lineno: usize) -> &mut Case {
    match items.last_mut() {
        Some(Item::Case(case)) => case,
        _ => panic!("line {lineno}: not in a case"),
    }
}

fn attribute(case: &mut Case, text: &str, lineno: usize) {
    if let Some(line) = text.strip_prefix('|') {
        let content = case.main_cf.get_or_insert_default();
        content.extend(unescape(line.strip_prefix(' ').unwrap_or(line)));
        content.push(b'\n');
    } else if let Some(name) = text.strip_prefix("postlog at ") {
        case.postlog = Some(name.to_string());
    } else if let Some(line) = text.strip_prefix("passwd: ") {
        case.passwd.push(line.to_string());
    } else if let Some(line) = text.strip_prefix("group: ") {
        case.group.push(line.to_string());
    } else if let Some(name) = text.strip_prefix("host name:") {
        case.hostname = Some(name.trim_start().to_string());
        // Remove the first option of BASE.
        case.args.drain(..2);
    } else if text.starts_with("differs: ") {
        case.differs = true;
    } else {
        match text {
            "no main.cf" => case.main_cf = None,
            "as nobody" => case.as_nobody = true,
            "on a terminal" => case.on_a_terminal = true,
            "with syslog" => case.with_syslog = true,
            _ => {
                let known = text
                    .split_once(' ')
                    .is_some_and(|(word, version)| case.versions.restrict(word, version));
                assert!(known, "line {lineno}: unknown attribute: {text}");
            }
        }
    }
}

fn new_case(line: &str, lineno: usize, options: &[Vec<u8>]) -> Option<Case> {
    let (word, text) = line.split_once(' ')?;
    let mut args = Vec::new();
    for option in options {
        args.push(b"-o".to_vec());
        args.push(option.clone());
    }
    let mut env = Vec::new();
    let kind = match word {
        "$" => {
            let mut words = split_words(text).into_iter();
            for word in words.by_ref().take_while(|word| word != b"scache") {
                let equals = word.iter().position(|&c| c == b'=').unwrap_or(word.len());
                let value = word.get(equals + 1..).unwrap_or_default().to_vec();
                env.push((word[..equals].to_vec(), value));
            }
            args.extend(words);
            Kind::Command
        }
        "set" => {
            args.extend([b"-V".to_vec(), b"-S".to_vec(), b"-o".to_vec()]);
            args.push(unescape(text));
            Kind::Set
        }
        "expand" => {
            args.extend([b"-V".to_vec(), b"-S".to_vec(), b"-o".to_vec()]);
            args.push([b"connection_cache_ttl_limit=x[", &unescape(text)[..], b"]"].concat());
            Kind::Expand
        }
        _ => return None,
    };
    Some(Case {
        lineno,
        kind,
        head: vec![line.to_string()],
        args,
        env,
        main_cf: Some(Vec::new()),
        as_nobody: false,
        on_a_terminal: false,
        with_syslog: false,
        postlog: None,
        hostname: None,
        passwd: Vec::new(),
        group: Vec::new(),
        versions: Versions::default(),
        differs: false,
        c: Vec::new(),
        here: Vec::new(),
    })
}

/// Formats a table. `output` returns new output of a case, or None to keep the old.
pub fn format(items: &[Item], mut output: impl FnMut(&Case) -> Option<Vec<String>>) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Text(line) => writeln!(text, "{line}").unwrap(),
            Item::Case(case) => {
                let c = output(case).unwrap_or_else(|| case.c.clone());
                let here = case.here.iter().map(|line| format!("here: {line}"));
                for line in &case.head {
                    writeln!(text, "{line}").unwrap();
                }
                for line in c.into_iter().chain(here) {
                    writeln!(text, "    {line}").unwrap();
                }
            }
        }
    }
    text
}

/// Splits words at blanks; `'` quotes blanks.
fn split_words(text: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.iter().map(|word| unescape(word)).collect()
}

/// Converts text to bytes: `\xNN`, `\n` and `\\` as in C; `\*N` repeats the byte before
/// it, or the text between `\(` and `\)`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut open, mut group) = (0, None);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut length = 1;
        match after.as_bytes().first() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b'\\') => bytes.push(b'\\'),
            Some(b'x') => {
                length = 3;
                bytes.push(u8::from_str_radix(&after[1..length], 16).unwrap());
            }
            Some(b'(') => open = bytes.len(),
            Some(b')') => group = Some(open),
            Some(b'*') => {
                length += after[1..].bytes().take_while(u8::is_ascii_digit).count();
                let count: usize = after[1..length].parse().unwrap();
                let group = bytes.split_off(group.take().unwrap_or(bytes.len() - 1));
                bytes.extend(group.repeat(count));
            }
            _ => panic!("bad escape in {text}"),
        }
        rest = &after[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Converts output to the text in a table.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_ascii_control() => write!(text, "\\x{:02x}", c as u8).unwrap(),
                '\u{80}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    text.extend(c.escape_unicode());
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").unwrap();
        }
    }
    text
}

/// Replaces `from` by `to` in bytes.
pub fn replace(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let from = from.as_bytes();
    let mut result = Vec::new();
    let mut rest = bytes;
    while let Some(i) = rest.windows(from.len()).position(|window| window == from) {
        result.extend_from_slice(&rest[..i]);
        result.extend_from_slice(to.as_bytes());
        rest = &rest[i + from.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// Replaces `from` by `to` where `from` is not a part of a longer number.
pub fn replace_number(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let mut result = Vec::new();
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        match rest.strip_prefix(from.as_bytes()) {
            Some(tail) if !is_digit(result.last()) && !is_digit(tail.first()) => {
                result.extend_from_slice(to.as_bytes());
                rest = tail;
            }
            _ => {
                result.push(byte);
                rest = tail;
            }
        }
    }
    result
}

/// Converts bytes to an argument.
pub fn os(bytes: Vec<u8>) -> OsString {
    OsString::from_vec(bytes)
}
