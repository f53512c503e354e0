//! `msg`: diagnostic messages. The original's `msg`.
//!
//! The macros `msg_info!`, `msg_warn!`, `msg_warn_client!`, `msg_fatal!` and
//! `msg_panic!` have the arguments of `format!`, and pass one line to each output
//! that was added with [`msg_output`] (stderr, syslog, postlogd). The outputs and
//! the verbosity are global, as in the C program.
//!
//! `msg_fatal!` and `msg_panic!` do not return: they log, wait for a second, so
//! that master(8) does not start the next process at once, and exit with status 1.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::printable::printable_text;

/// The severity of a message. The original's `MSG_INFO` ... `MSG_PANIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information.
    Info,
    /// A problem; the program goes on.
    Warn,
    /// An error that ends the program.
    Fatal,
    /// A programming error, which ends the program.
    Panic,
}

impl Severity {
    /// The beginning of a message.
    pub fn prefix(self) -> &'static str {
        match self {
            Severity::Info => "",
            Severity::Warn => "warning: ",
            Severity::Fatal => "fatal: ",
            Severity::Panic => "panic: ",
        }
    }
}

/// Appends a message to a log line: the prefix, and at most `LOG_TEXT_LIMIT` bytes of
/// the text.
pub fn log_text(severity: Severity, text: &str, line: &mut Vec<u8>) {
    let text = text.as_bytes();
    line.extend_from_slice(severity.prefix().as_bytes());
    line.extend_from_slice(&text[..text.len().min(LOG_TEXT_LIMIT)]);
}

/// Formats a text into a buffer, and truncates it to its size. Allocates nothing.
pub fn short_text<'a>(buffer: &'a mut [u8], args: fmt::Arguments<'_>) -> &'a str {
    let size = buffer.len();
    let mut rest = &mut buffer[..];
    let _ = rest.write_fmt(args);
    let length = size - rest.len();
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

/// Writes one message. The text has no prefix. The original's `MSG_OUTPUT_FN`.
pub type MsgOutput = Box<dyn FnMut(Severity, &str) + Send>;

/// Maximum length of the text in a log line, in bytes; the rest is cut off.
const LOG_TEXT_LIMIT: usize = 2000;

/// Size of a buffer for a log line, with its text, prefix and header.
pub const LOG_LINE_SIZE: usize = 4096;

static VERBOSE: AtomicU32 = AtomicU32::new(0);
static UTF8: AtomicBool = AtomicBool::new(false);
static OUTPUTS: Mutex<Vec<MsgOutput>> = Mutex::new(Vec::new());

/// Number of `-v` options. The original's `msg_verbose`.
pub fn msg_verbose() -> u32 {
    VERBOSE.load(Ordering::Relaxed)
}

/// Counts a `-v` option.
pub fn msg_more_verbose() {
    VERBOSE.fetch_add(1, Ordering::Relaxed);
}

/// Sets whether messages may have UTF-8. The original's `util_utf8_enable`.
pub fn msg_utf8_enable(utf8: bool) {
    UTF8.store(utf8, Ordering::Relaxed);
}

/// Adds an output for messages. The original's `msg_output()`.
pub fn msg_output(output: MsgOutput) {
    outputs().push(output);
}

/// Removes all outputs, before others are added.
pub fn msg_output_reset() {
    outputs().clear();
}

/// Logs a message that does not end the program. For the macros.
pub fn msg_print(severity: Severity, args: fmt::Arguments<'_>) {
    let text = printable_text(&args.to_string(), UTF8.load(Ordering::Relaxed));
    print(severity, &text);
}

/// Logs a message and ends the program. For the macros.
pub fn msg_die(severity: Severity, args: fmt::Arguments<'_>) -> ! {
    msg_print(severity, args);
    exit_after_delay()
}

/// Logs a printable text as a fatal message, and ends the program. Allocates
/// nothing, and does not panic: there may be no memory.
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
        // An output is in use or has panicked, and this message is about its failure.
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "{}{text}", severity.prefix());
        }
    }
}

fn exit_after_delay() -> ! {
    thread::sleep(Duration::from_secs(1));
    std::process::exit(1)
}

fn outputs() -> std::sync::MutexGuard<'static, Vec<MsgOutput>> {
    OUTPUTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs information. The original's `msg_info()`.
#[macro_export]
macro_rules! msg_info {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_print($crate::util::msg::Severity::Info, format_args!($($arg)*))
    };
}

/// Logs a warning. The original's `msg_warn()`.
#[macro_export]
macro_rules! msg_warn {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_print($crate::util::msg::Severity::Warn, format_args!($($arg)*))
    };
}

/// Logs a warning about a client, unless SIGTERM was caught: master(8) sends it to
/// clients, too, and they break off. (The C program is killed by SIGTERM.)
#[macro_export]
macro_rules! msg_warn_client {
    ($($arg:tt)*) => {
        if !$crate::util::signal_pipe::signal_caught() {
            $crate::msg_warn!($($arg)*)
        }
    };
}

/// Logs an error and ends the program. The original's `msg_fatal()`.
#[macro_export]
macro_rules! msg_fatal {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_die($crate::util::msg::Severity::Fatal, format_args!($($arg)*))
    };
}

/// Logs a programming error and ends the program. The original's `msg_panic()`.
#[macro_export]
macro_rules! msg_panic {
    ($($arg:tt)*) => {
        $crate::util::msg::msg_die($crate::util::msg::Severity::Panic, format_args!($($arg)*))
    };
}
