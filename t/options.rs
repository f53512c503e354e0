//! Tests that the program reads command-line options, main.cf and parameters as the C
//! program does: compares messages and exit status. The cases are in the tables in
//! t/options, which has a README.
//!
//! `SCACHE=program` tests another program. `RECORD=1` records the expectations anew,
//! from the C program. Arguments: only tables whose names contain one of these words.

#[path = "options/cases.rs"]
mod cases;
mod harness;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cases::{escape, format, os, parse, replace, replace_number, Case, Item, Kind};
use harness::built_in::BuiltIn;
use harness::directory::Directory;
use harness::kind::{self, Program};
use harness::log_text::SYSLOG_END;
use harness::master;
use harness::privilege::{is_ordinary, is_root};

/// Number of cases that run at the same time: the C program sleeps most of the time.
const THREADS: usize = 48;
const TIME_LIMIT: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// Messages to syslog, by process id.
type Log = Arc<Mutex<HashMap<u32, Vec<Vec<u8>>>>>;

struct Run {
    binary: PathBuf,
    program: Program,
    built_in: BuiltIn,
    owner: String,
    owner_uid: u32,
    owner_gid: u32,
    root: bool,
    has_terminal: bool,
    /// None if not in a namespace of our own.
    log: Option<Log>,
    scratch: Directory,
}

fn main() -> ExitCode {
    let words = std::env::args().skip(1);
    let paths = tables(
        &words
            .filter(|word| !word.starts_with('-'))
            .collect::<Vec<_>>(),
    );
    let tables: Vec<_> = paths
        .iter()
        .map(|path| parse(&fs::read_to_string(path).unwrap()))
        .collect();

    let root = is_root();
    let isolated = root && isolate(&tables);
    let run = Run::new(root, isolated);
    let cases: Vec<_> = tables.iter().flatten().filter_map(case_of).collect();
    let outputs = run.all(&cases);

    let mut outputs = outputs.into_iter();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    let mut lacking = BTreeMap::new();
    for (path, items) in paths.iter().zip(&tables) {
        let text = format(items, |case| {
            let output = outputs.next().unwrap();
            let Some(output) = &output else {
                ignored += 1;
                *lacking.entry(run.lacks(case)).or_insert(0) += 1;
                return None;
            };
            let expected = run.expected(case);
            if *output == expected {
                passed += 1;
                return None;
            }
            failed += 1;
            complain(path, case, &expected, output);
            Some(output.clone())
        });
        if std::env::var_os("RECORD").is_some_and(|value| !value.is_empty()) {
            assert!(run.is_c(), "only the C program is recorded");
            fs::write(path, text).unwrap();
        }
    }
    for (what, count) in lacking {
        println!("{count} cases ignored: {}", what.unwrap_or_default());
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out");
    ExitCode::from(u8::from(failed > 0))
}

/// The tables whose names contain one of the words; without words all.
fn tables(words: &[String]) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("t/options");
    let wanted = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let chosen = words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
        chosen && path.extension() == Some(OsStr::new("cases"))
    };
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(wanted)
        .collect();
    paths.sort();
    paths
}

fn case_of(item: &Item) -> Option<&Case> {
    match item {
        Item::Case(case) => Some(case),
        Item::Text(_) => None,
    }
}

fn complain(path: &Path, case: &Case, expected: &[String], got: &[String]) {
    let name = path.file_name().unwrap().to_string_lossy();
    println!("{name}:{}: {}", case.lineno, case.head[0]);
    for (what, lines) in [("expected", expected), ("got", got)] {
        for line in lines {
            println!("    {what:8}  {line}");
        }
    }
}

/// Executes this program again in a namespace with a /dev/log, an /etc/passwd and an
/// /etc/group of its own. Returns true in the namespace, and false if it cannot be
/// made.
fn isolate(tables: &[Vec<Item>]) -> bool {
    const VARIABLE: &str = "OPTIONS_ISOLATED";
    const SCRIPT: &str = "
        dev=$(mktemp -d /tmp/options.XXXXXX) && mount -t tmpfs tmpfs $dev &&
        for name in null urandom tty; do
            [ -e /dev/$name ] || continue
            : >$dev/$name && mount --bind /dev/$name $dev/$name || exit
        done &&
        mount -n --move $dev /dev && rmdir $dev && chmod 755 /dev &&
        mkdir /dev/pts && mount -t devpts -o ptmxmode=666,newinstance devpts /dev/pts &&
        ln -s pts/ptmx /dev/ptmx && printf %s \"$OPTIONS_PASSWD\" >/dev/passwd &&
        mount --bind /dev/passwd /etc/passwd &&
        printf %s \"$OPTIONS_GROUP\" >/dev/group &&
        chmod 644 /dev/passwd /dev/group && mount --bind /dev/group /etc/group &&
        exec \"$0\" \"$@\"";
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut group = fs::read_to_string("/etc/group").unwrap();
    let (_, uid, gid) = owner();
    let real = |line: &String| {
        let line = line.replace("UID", &uid.to_string());
        line.replace("GID", &gid.to_string()) + "\n"
    };
    for case in tables.iter().flatten().filter_map(case_of) {
        passwd.extend(case.passwd.iter().map(real));
        group.extend(case.group.iter().map(real));
    }
    let probe = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/dev"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return false;
    }
    let error = Command::new("unshare")
        .args(["-m", "sh", "-c", SCRIPT])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "1")
        .env("OPTIONS_PASSWD", passwd)
        .env("OPTIONS_GROUP", group)
        .exec();
    panic!("unshare: {error}");
}

/// An account for mail_owner, postfix if there is one: name, user id, group id.
fn owner() -> (String, u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let users: Vec<Vec<&str>> = passwd
        .lines()
        .map(|line| line.split(':').collect())
        .collect();
    ["postfix", "mail", "daemon", "bin"]
        .iter()
        .find_map(|name| users.iter().find(|user| user[0] == *name))
        .map(|user| {
            (
                user[0].into(),
                user[2].parse().unwrap(),
                user[3].parse().unwrap(),
            )
        })
        .expect("a user to own the mail system")
}

/// Returns true if there is a script(1) with -e and -c.
fn has_terminal() -> bool {
    let mut script = Command::new("script");
    script.args(["-qec", "exit 7", "/dev/null"]);
    script.stdin(Stdio::null()).stdout(Stdio::null());
    script.stderr(Stdio::null());
    script.status().is_ok_and(|status| status.code() == Some(7))
}

/// Collects messages to /dev/log.
fn syslogd() -> Log {
    let log = Log::default();
    let socket = UnixDatagram::bind("/dev/log").unwrap();
    fs::set_permissions("/dev/log", fs::Permissions::from_mode(0o666)).unwrap();
    let messages = Arc::clone(&log);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(length) = socket.recv(&mut buffer) {
            // The form: <PRIORITY>Mmm dd hh:mm:ss TAG[PID]: TEXT
            let line = buffer[..length].strip_suffix(SYSLOG_END.as_bytes());
            let line = line.expect("the end that syslog(3) gives it");
            let start = find(line, b'>') + 1;
            let (pid, text) = without_pid(line, start);
            let mut messages = messages.lock().unwrap();
            messages.entry(pid).or_default().push(text);
        }
    });
    log
}

/// Waits until all messages so far have been collected: sends one more, with the id
/// of a process that does not exist, and waits for it.
fn wait_for_syslogd(log: &Log, case: usize) {
    let pid = u32::MAX - case as u32;
    let line = format!("<0>Mmm dd hh:mm:ss end[{pid}]{SYSLOG_END}");
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(line.as_bytes(), "/dev/log").unwrap();
    let start = Instant::now();
    while log.lock().unwrap().remove(&pid).is_none() {
        assert!(
            start.elapsed() < TIME_LIMIT,
            "the thread of syslogd() has ended"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Splits a line whose time begins at `start` into the process id and the line without
/// id and time.
fn without_pid(line: &[u8], start: usize) -> (u32, Vec<u8>) {
    let (open, close) = (find(line, b'['), find(line, b']'));
    let pid = std::str::from_utf8(&line[open + 1..close]).unwrap();
    let text = [&line[..start], &line[start + 16..open], &line[close + 1..]].concat();
    (pid.parse().unwrap(), text)
}

/// The socket of a postlogd(8).
fn postlogd(path: PathBuf) -> UnixDatagram {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let socket = UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Receives the messages that have come, of a process that has ended.
fn received(socket: UnixDatagram) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65536];
    let next = || {
        let length = socket.recv(&mut buffer).ok()?;
        Some(without_pid(&buffer[..length], 0).1)
    };
    std::iter::from_fn(next).collect()
}

fn find(line: &[u8], byte: u8) -> usize {
    line.iter().position(|&c| c == byte).unwrap()
}

impl Run {
    fn new(root: bool, isolated: bool) -> Run {
        let (owner, owner_uid, owner_gid) = owner();
        let scratch = Directory::new().unwrap();
        let mut binary = master::binary();
        if root {
            // A copy, because the account nobody may not be able to reach the original.
            let copy = scratch.path().join("scache");
            fs::copy(&binary, &copy).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
            binary = copy;
        }
        Run {
            binary,
            program: Program::of(&master::binary()),
            built_in: BuiltIn::of(&master::binary()),
            owner,
            owner_uid,
            owner_gid,
            root,
            has_terminal: has_terminal(),
            log: isolated.then(syslogd),
            scratch,
        }
    }

    fn is_c(&self) -> bool {
        self.program.kind == kind::Kind::C
    }

    /// The expected output of a case, with the values that are compiled in.
    fn expected(&self, case: &Case) -> Vec<String> {
        let lines = case.expected(self.is_c()).iter();
        lines.map(|line| self.built_in.fill_in(line)).collect()
    }

    /// Runs all cases. None for a case that cannot be run here.
    fn all(&self, cases: &[&Case]) -> Vec<Option<Vec<String>>> {
        let next = AtomicUsize::new(0);
        let outputs = Mutex::new(vec![None; cases.len()]);
        println!("\nrunning {} cases", cases.len());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(i) else { break };
                    if i > 0 && i % 100 == 0 {
                        println!("{i} of {} cases have begun", cases.len());
                    }
                    let output = self.lacks(case).is_none().then(|| self.one(i, case));
                    outputs.lock().unwrap()[i] = output;
                });
            }
        });
        outputs.into_inner().unwrap()
    }

    /// The requirement of a case that is not met here. None if all are met.
    fn lacks(&self, case: &Case) -> Option<&'static str> {
        let isolated = self.log.is_some();
        if self.program.arguments(&case.versions).is_none() {
            return Some("another version of the C program");
        }
        if !isolated && (case.with_syslog || !case.passwd.is_empty() || !case.group.is_empty()) {
            return Some("a /dev/log or /etc/passwd of its own, which takes root");
        }
        if !isolated && case.hostname.is_some() {
            return Some("a host name of its own, which takes root");
        }
        if case.on_a_terminal && !self.has_terminal {
            return Some("a terminal, which takes script(1)");
        }
        if case.as_nobody && !self.root && !is_ordinary() {
            return Some("an ordinary account to become");
        }
        None
    }

    fn one(&self, i: usize, case: &Case) -> Vec<String> {
        let dir = self.scratch.path().join(i.to_string());
        fs::create_dir_all(dir.join("queue/public")).unwrap();
        if let Some(content) = &case.main_cf {
            let path = dir.join("main.cf");
            fs::write(&path, content).unwrap();
            // Set back, because the C program reads a file again that has just been changed.
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let postlog = case.postlog.as_ref();
        let postlog = postlog.map(|name| postlogd(dir.join("queue/public").join(name)));
        let mut command = self.command(case, &dir);
        let stderr = fs::File::create(dir.join("stderr")).unwrap();
        command
            .current_dir(&dir)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C")
            .env("TZ", "UTC")
            .env("MAIL_CONFIG", &dir)
            .stdin(Stdio::null())
            .stdout(stderr.try_clone().unwrap())
            .stderr(stderr);
        for (name, value) in &case.env {
            command.env(os(name.clone()), os(self.real(value, &dir)));
        }
        if case.as_nobody && self.root {
            command.gid(NOBODY).uid(NOBODY);
        }
        let (pid, status) = wait(&mut command);
        let stderr = fs::read(dir.join("stderr")).unwrap();
        // Also if it is not shown: a later process may have the same id.
        let logged = self.log.as_ref().and_then(|log| {
            wait_for_syslogd(log, i);
            log.lock().unwrap().remove(&pid)
        });
        let logged = logged.filter(|_| case.with_syslog);
        let logs = [
            ("log", logged.unwrap_or_default()),
            ("postlog", postlog.map_or_else(Vec::new, received)),
        ];
        self.show(case, &dir, pid, &status, &stderr, &logs)
    }

    fn command(&self, case: &Case, dir: &Path) -> Command {
        const RENAMED: &str = "echo \"$0\" >/proc/sys/kernel/hostname && exec \"$@\"";
        let version = self.program.arguments(&case.versions).unwrap_or_default();
        let args = case.args.iter().map(|arg| os(self.real(arg, dir)));
        let args = version.into_iter().map(OsString::from).chain(args);
        if let Some(name) = &case.hostname {
            let mut command = Command::new("unshare");
            command.args(["--uts", "sh", "-c", RENAMED, name]);
            command.arg(&self.binary).args(args);
            return command;
        }
        if !case.on_a_terminal {
            let mut command = Command::new(&self.binary);
            command.args(args);
            return command;
        }
        let mut command = Command::new("script");
        let words = std::iter::once(self.binary.clone().into()).chain(args);
        let line: Vec<_> = words
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let line = format!("exec {} 2>stderr", line.join(" "));
        command.args(["-qec", &line, "/dev/null"]);
        command
    }

    /// Replaces DIR and OWNER.
    fn real(&self, text: &[u8], dir: &Path) -> Vec<u8> {
        replace(
            &replace(text, "DIR", dir.to_str().unwrap()),
            "OWNER",
            &self.owner,
        )
    }

    /// Formats output as in a table.
    fn show(
        &self,
        case: &Case,
        dir: &Path,
        pid: u32,
        status: &str,
        stderr: &[u8],
        logs: &[(&str, Vec<Vec<u8>>)],
    ) -> Vec<String> {
        const BAD_TIME: &str = "parameter connection_cache_ttl_limit: bad time value or unit: x";
        let says_pid = case.head.iter().any(|line| line.contains("process_id"));
        let masked = |line: &[u8]| {
            let line = replace(line, dir.to_str().unwrap(), "DIR");
            let line = replace(&line, &format!("user {}", self.owner), "user OWNER");
            let line = replace(&line, &format!("ID as {}", self.owner), "ID as OWNER");
            let line = replace(&line, &format!("ID {}", self.owner_uid), "ID UID");
            let path = format!("DIR/nonexistent/{}/", self.owner);
            let line = replace(&line, &path, "DIR/nonexistent/OWNER/");
            let line = replace(&line, &format!("gid({})", self.owner_gid), "gid(GID)");
            let line = replace(&line, &format!("uid({})", self.owner_uid), "uid(UID)");
            // In other cases the same number may have another meaning.
            match says_pid {
                true => escape(&replace_number(&line, &pid.to_string(), "PID")),
                false => escape(&line),
            }
        };
        let mut lines = Vec::new();
        for line in stderr
            .split(|&c| c == b'\n')
            .filter(|line| !line.is_empty())
        {
            let line = masked(line);
            if line.contains(": statistics: ") {
                continue;
            }
            lines.push(match case.kind {
                Kind::Command => format!("2> {line}"),
                Kind::Set => line.replacen("postfix/scache: ", "", 1),
                Kind::Expand => line.replacen("postfix/scache: ", "", 1).replacen(
                    &format!("fatal: {BAD_TIME}"),
                    "= ",
                    1,
                ),
            });
        }
        for (name, logged) in logs {
            let logged = logged.iter().map(|line| masked(line));
            let logged = logged.filter(|line| !line.contains(": statistics: "));
            lines.extend(logged.map(|line| format!("{name}> {line}")));
        }
        if case.kind == Kind::Command {
            lines.push(status.to_string());
        } else if status == "exit 0" {
            lines.push("= fine".to_string());
        } else if status != "exit 1" {
            lines.push(status.to_string());
        }
        lines
    }
}

/// Runs a command to its end, or kills it after [`TIME_LIMIT`]. Returns the process id
/// and the status.
fn wait(command: &mut Command) -> (u32, String) {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let status = match status.code() {
                Some(code) => format!("exit {code}"),
                None => "killed".to_string(),
            };
            return (child.id(), status);
        }
        if start.elapsed() > TIME_LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            return (child.id(), "does not end".to_string());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
