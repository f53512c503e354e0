//! Reads transcripts, in the notation that t/transcripts/README describes.

use std::fs;
use std::path::{Path, PathBuf};

use super::pair::Fate;
use super::text;
use crate::harness::kind::Kind;
use crate::harness::version::Versions;

/// An action, or a check.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// `connect a`: a client connects.
    Connect(String),
    /// `a> ...`: it sends bytes.
    Send(String, Vec<u8>),
    /// `a> fd:one`: it sends descriptors, with these bytes.
    SendFds(String, Vec<String>, Vec<u8>),
    /// `a< ...`: it receives something.
    Receive(String, Received),
    /// `flush a`: all bytes before it are sent now, in one write.
    Flush(String),
    /// `drained a`: waits until the daemon has read all that was sent.
    Drained(String),
    /// `close a`: it shuts down sending, receives nothing more, and the daemon closes.
    Close(String),
    /// `half-close a`: it shuts down sending.
    HalfClose(String),
    /// `abandon a`: it closes its socket without reading its input, and the daemon closes.
    Abandon(String),
    /// `leave a`: it closes its socket; the daemon may not have noticed yet.
    Leave(String),
    /// `dropped a`: waits until the daemon has closed the connection.
    Dropped(String),
    /// `deaf a`: it shuts down receiving.
    Deaf(String),
    /// `ready a`: waits for input, and does not read it.
    Ready(String),
    /// `closed:one`, `held:one` ...: an action or a check of a descriptor.
    Fate(String, Fate),
    /// `await TEXT`: waits for a log line with this text.
    Await(String),
    /// `sleep 1.5`: time passes.
    Sleep(f64),
    /// `stop`: the daemon is stopped (SIGSTOP).
    Stop,
    /// `continue`: it continues (SIGCONT).
    Continue,
    /// `align`: waits until a second starts.
    Align,
    /// `exit`: waits until the daemon exits by itself.
    Exit,
}

/// Something that a client receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// An attribute list, as bytes.
    List(Vec<u8>),
    /// Bytes that are not an attribute list.
    Raw(Vec<u8>),
    /// A NUL byte with one descriptor, known by its name.
    Fd(String),
    /// The daemon closes the connection.
    End,
    /// Nothing, for a short while.
    Silence,
    /// `?`: anything, to be replaced by a recording.
    Anything,
}

/// An act and its line number.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line, from 1.
    pub line: usize,
    pub act: Act,
}

/// A transcript, without the lines for the other program.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub path: PathBuf,
    /// `since 3.9`, `before 3.11`: the versions of Postfix that it is for.
    pub versions: Versions,
    /// `main.cf NAME = VALUE`: lines of main.cf.
    pub main_cf: Vec<String>,
    /// `argument X`: arguments of the daemon.
    pub arguments: Vec<String>,
    /// `stdio a`: this client is the daemon's standard input and output.
    pub stdio: Option<String>,
    /// `differs: TITLE`: a difference between the two programs.
    pub differs: Option<String>,
    /// `cut`: replay it again with every write cut in two at every place.
    pub cut: bool,
    /// `quiet: why`: has no log of -v.
    pub quiet: bool,
    /// The acts, in order.
    pub steps: Vec<Step>,
    /// `log: LINE`: lines of the log, with line numbers.
    pub log: Vec<(usize, String)>,
    /// `adds: LINE`: lines that this program logs after those, and the C program does
    /// not.
    pub adds: Vec<String>,
    /// `status: exit N`: the exit status.
    pub status: String,
}

impl Script {
    /// Reads a transcript; errors name the line.
    pub fn read(path: &Path, kind: Kind) -> Result<Script, String> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Script::parse(path, &text, kind)
    }

    /// Parses the text of a transcript; `path` is for messages.
    pub fn parse(path: &Path, text: &str, kind: Kind) -> Result<Script, String> {
        let path = path.to_path_buf();
        let mut script = Script {
            path,
            status: "exit 0".into(),
            ..Script::default()
        };
        for (line, text) in (1..).zip(text.lines()) {
            let Some(text) = for_kind(text, kind) else {
                continue;
            };
            let result = script.statement(line, text);
            result.map_err(|error| format!("{}:{line}: {error}", script.path.display()))?;
        }
        if kind == Kind::C {
            script.adds.clear();
        }
        Ok(script)
    }

    /// Returns true if the log of -v is compared.
    pub fn has_verbose_log(&self) -> bool {
        !self.quiet && self.differs.is_none()
    }

    /// The file with the log of -v.
    pub fn verbose_path(&self) -> PathBuf {
        self.path.with_extension("v1.log")
    }

    fn statement(&mut self, line: usize, text: &str) -> Result<(), String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "main.cf" => self.main_cf.push(rest.to_string()),
            "argument" => self.arguments.push(rest.to_string()),
            "stdio" => self.stdio = Some(rest.to_string()),
            "differs:" => self.differs = Some(rest.to_string()),
            "quiet:" => self.quiet = true,
            "cut" => self.cut = true,
            "since" | "before" if self.versions.restrict(word, rest) => {}
            "log:" => self.log.push((line, log_line(rest))),
            "adds:" => self.adds.push(rest.to_string()),
            "status:" => self.status = rest.to_string(),
            _ => self.steps.push(Step {
                line,
                act: act(word, rest)?,
            }),
        }
        Ok(())
    }
}

/// Replaces `\s` at the end of a log line with a blank.
fn log_line(text: &str) -> String {
    match text.strip_suffix("\\s") {
        Some(text) => format!("{text} "),
        None => text.to_string(),
    }
}

/// The statement in a line. None if there is none, or it is for the other program.
pub fn for_kind(line: &str, kind: Kind) -> Option<&str> {
    let text = line.trim_start();
    let other = if kind == Kind::C { Kind::Port } else { Kind::C };
    if text.is_empty() || text.starts_with('#') || text.starts_with(other.prefix()) {
        return None;
    }
    Some(text.strip_prefix(kind.prefix()).unwrap_or(text))
}

fn act(word: &str, rest: &str) -> Result<Act, String> {
    let name = || rest.to_string();
    if let Some(client) = word.strip_suffix('>') {
        return send(client, rest);
    }
    if let Some(client) = word.strip_suffix('<') {
        return received(rest).map(|received| Act::Receive(client.to_string(), received));
    }
    if let Some((fate, fd)) = word.split_once(':') {
        let fate = Fate::parse(fate, rest).ok_or(format!("unknown statement: {word} {rest}"))?;
        return Ok(Act::Fate(fd.to_string(), fate?));
    }
    Ok(match word {
        "connect" => Act::Connect(name()),
        "flush" => Act::Flush(name()),
        "drained" => Act::Drained(name()),
        "close" => Act::Close(name()),
        "half-close" => Act::HalfClose(name()),
        "abandon" => Act::Abandon(name()),
        "leave" => Act::Leave(name()),
        "dropped" => Act::Dropped(name()),
        "deaf" => Act::Deaf(name()),
        "ready" => Act::Ready(name()),
        "await" => Act::Await(name()),
        "stop" => Act::Stop,
        "continue" => Act::Continue,
        "align" => Act::Align,
        "exit" => Act::Exit,
        "sleep" => Act::Sleep(rest.parse().map_err(|_| format!("no number: {rest}"))?),
        _ => return Err(format!("unknown statement: {word} {rest}")),
    })
}

/// `fd:one`, `fd:one "bytes"`, `fd:one,two`, `raw "bytes"` or a list.
fn send(client: &str, text: &str) -> Result<Act, String> {
    let client = client.to_string();
    if let Some(rest) = text.strip_prefix("fd:") {
        let (names, bytes) = rest.split_once(' ').unwrap_or((rest, "\"\\0\""));
        let names = names.split(',').map(str::to_string).collect();
        return Ok(Act::SendFds(client, names, text::quoted(bytes)?));
    }
    match text.strip_prefix("raw ") {
        Some(bytes) => Ok(Act::Send(client, text::quoted(bytes)?)),
        None => Ok(Act::Send(client, text::list(text)?)),
    }
}

fn received(text: &str) -> Result<Received, String> {
    if let Some(name) = text.strip_prefix("fd:") {
        return Ok(Received::Fd(name.to_string()));
    }
    if let Some(bytes) = text.strip_prefix("raw ") {
        return Ok(Received::Raw(text::quoted(bytes)?));
    }
    Ok(match text {
        "end" => Received::End,
        "silence" => Received::Silence,
        "?" => Received::Anything,
        _ => Received::List(text::list(text)?),
    })
}
