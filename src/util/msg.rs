//! `msg`: diagnostics, and how they end the program.
//!
//! The macros `msg_info!`, `msg_warn!`, `msg_warn_client!`, `msg_fatal!` and
//! `msg_panic!` take what `format!` takes and hand one line to every output that
//! was added with [`msg_output`] (stderr, syslog, postlog). Like the original,
//! logging belongs to the process, not to a caller: it is the one piece of global
//! state in this program. (Its `msg_error()` is missing: nothing here uses it.)
//!
//! `msg_fatal!` and `msg_panic!` do not return: they log, wait a second so
//! that master(8) does not spin, and exit with status 1.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::printable::printable_text;

/// How bad it is. The original's `MSG_INFO` ... `MSG_PANIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something went wrong and was dealt with.
    Warn,
    /// The program cannot go on.
    Fatal,
    /// The program found itself to be wrong.
    Panic,
}

impl Severity {
    /// What stands before the text of a message.
    pub fn prefix(self) -> &'static str {
        match self {
            Severity::Info => "",
            Severity::Warn => "warning: ",
            Severity::Fatal => "fatal: ",
            Severity::Panic => "panic: ",
        }
    }
}

/// Appends a message as it goes to a log: the prefix, and as much text as is
/// allowed.
pub fn log_text(severity: Severity, text: &str, line: &mut Vec<u8>) {
    let text = text.as_bytes();
    line.extend_from_slice(severity.prefix().as_bytes());
    line.extend_from_slice(&text[..text.len().min(LOG_TEXT_LIMIT)]);
}

/// A short text, made in `room` and cut off where that ends: without allocating.
pub fn short_text<'a>(room: &'a mut [u8], args: fmt::Arguments<'_>) -> &'a str {
    let size = room.len();
    let mut rest = &mut room[..];
    let _ = rest.write_fmt(args);
    let length = size - rest.len();
    std::str::from_utf8(&room[..length]).unwrap_or_default()
}

/// Takes one message; the text is without prefix. The original's `MSG_OUTPUT_FN`.
pub type MsgOutput = Box<dyn FnMut(Severity, &str) + Send>;

/// The longest text that goes to a log, in bytes; the rest is cut off.
const LOG_TEXT_LIMIT: usize = 2000;

/// Enough for a line of that length and what is before and behind the text.
pub const LOG_LINE_SIZE: usize = 4096;

static VERBOSE: AtomicU32 = AtomicU32::new(0);
static UTF8: AtomicBool = AtomicBool::new(false);
static OUTPUTS: Mutex<Vec<MsgOutput>> = Mutex::new(Vec::new());

/// The number of `-v` options so far. The original's `msg_verbose`.
pub fn msg_verbose() -> u32 {
    VERBOSE.load(Ordering::Relaxed)
}

/// One more `-v`.
pub fn msg_more_verbose() {
    VERBOSE.fetch_add(1, Ordering::Relaxed);
}

/// Whether UTF-8 may appear in messages. The original's `util_utf8_enable`.
pub fn msg_utf8_enable(utf8: bool) {
    UTF8.store(utf8, Ordering::Relaxed);
}

/// Adds an output for messages. The original's `msg_output()`.
pub fn msg_output(output: MsgOutput) {
    outputs().push(output);
}

/// Forgets all outputs, for a program that changes where it logs.
pub fn msg_output_reset() {
    outputs().clear();
}

/// Logs one message that does not end the program; what the macros call.
pub fn msg_print(severity: Severity, args: fmt::Arguments<'_>) {
    let text = printable_text(&args.to_string(), UTF8.load(Ordering::Relaxed));
    print(severity, &text);
}

/// Logs a message that ends the program; what `msg_fatal!` calls.
pub fn msg_die(severity: Severity, args: fmt::Arguments<'_>) -> ! {
    msg_print(severity, args);
    exit_after_delay()
}

/// The same for a text that is printable as it is, and without allocating: it
/// may say that there is no memory.
pub fn msg_die_plain(text: &str) -> ! {
    print(Severity::Fatal, text);
    exit_after_delay()
}

fn print(severity: Severity, text: &str) {
    match OUTPUTS.try_lock() {
        Ok(mut outputs) => {
            for output in outputs.iter_mut() {
                output(severity, text);
            }
        }
        // An output hangs or has failed, and this is what there is to say of it.
        Err(_) => eprintln!("{}{text}", severity.prefix()),
    }
}

fn exit_after_delay() -> ! {
    thread::sleep(Duration::from_secs(1));
    std::process::exit(1)
}

fn outputs() -> std::sync::MutexGuard<'static, Vec<MsgOutput>> {
    OUTPUTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs at level info.
#[macro_export]
macro_rules! msg_info {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_print($crate::util::msg::Severity::Info, format_args!($($arg)*))
    };
}

/// Logs a warning.
#[macro_export]
macro_rules! msg_warn {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_print($crate::util::msg::Severity::Warn, format_args!($($arg)*))
    };
}

/// Logs a warning of what a client did, unless SIGTERM has come: master(8) sends
/// that to clients as well, and they break off. (The original is dead by then.)
#[macro_export]
macro_rules! msg_warn_client {
    ($($arg:tt)*) => {
        if !$crate::util::signal_pipe::signal_has_come() {
            $crate::msg_warn!($($arg)*)
        }
    };
}

/// Logs what makes it impossible to go on, and ends the program.
#[macro_export]
macro_rules! msg_fatal {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_die($crate::util::msg::Severity::Fatal, format_args!($($arg)*))
    };
}

/// Logs a mistake of the program's own, and ends it.
#[macro_export]
macro_rules! msg_panic {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_die($crate::util::msg::Severity::Panic, format_args!($($arg)*))
    };
}
