//! Records the expectations of a transcript anew: the input of the clients, the log at
//! the end of the transcript, and the log of -v.

use std::fs;
use std::io;

use super::log;
use super::play::{play, Mode, Played};
use super::script::{for_kind, Script};
use crate::harness::kind::Kind;
use crate::harness::master::Setup;

/// Rewrites a transcript. Lines for one program only do not change, nor does the log
/// of a transcript with `differs:`.
fn rewrite(script: &Script, played: &Played, log: &[String]) -> io::Result<()> {
    let old = fs::read_to_string(&script.path)?;
    let keep_log = script.differs.is_some();
    let mut new = String::new();
    for (number, line) in (1..).zip(old.lines()) {
        let is_plain = for_kind(line, Kind::C) == for_kind(line, Kind::Port);
        let heard = played.heard.iter().find(|(at, _)| *at == number);
        match (heard, line.split_once("< ")) {
            (Some((_, text)), Some((client, _))) if is_plain => {
                new.push_str(&format!("{client}< {text}\n"))
            }
            _ if (line.starts_with("log: ") || line.starts_with("status: ")) && !keep_log => {}
            _ => new.push_str(&format!("{line}\n")),
        }
    }
    if !keep_log {
        for line in log {
            let shown = line.strip_suffix(' ').map(|text| format!("{text}\\s"));
            new.push_str(&format!("log: {}\n", shown.as_ref().unwrap_or(line)));
        }
        let status = played.ended.status_text();
        if status != "exit 0" {
            new.push_str(&format!("status: {status}\n"));
        }
    }
    fs::write(&script.path, new)
}

/// Replays a transcript without and with -v, and records both.
pub fn all(script: &Script, setup: &dyn Fn() -> Setup) -> Result<(), String> {
    let record = Mode {
        record: true,
        ..Mode::default()
    };
    let show = |error: io::Error| error.to_string();
    let played = play(script, setup(), record).map_err(|failure| failure.show(script))?;
    rewrite(script, &played, &log::masked(&played.ended.log)).map_err(show)?;
    if !script.has_verbose_log() {
        return Ok(());
    }
    let verbose = Mode {
        verbose: true,
        ..record
    };
    let played = play(script, setup(), verbose).map_err(|failure| failure.show(script))?;
    let lines = log::masked(&played.ended.log);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(script.verbose_path(), text).map_err(show)
}
