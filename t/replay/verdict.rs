//! Replays a transcript and compares everything with it. An error is a text with the
//! file, the line, the expected text and the text that came.

use std::fs;

use super::log;
use super::play::{play, Mode, Played};
use super::script::Script;
use crate::harness::log_text::in_words_of_libc;
use crate::harness::master::Setup;

/// Replays a transcript without -v; with `cut`, again for each place of a cut.
pub fn plain(script: &Script, setup: &dyn Fn() -> Setup) -> Result<(), String> {
    let played = replay(script, setup, Mode::default())?;
    compare(script, &played)?;
    let cuts = if script.cut { played.cuts } else { 0 };
    for cut in 0..cuts {
        let mode = Mode {
            cut: Some(cut),
            ..Mode::default()
        };
        let again = replay(script, setup, mode).and_then(|played| compare(script, &played));
        again.map_err(|what| format!("{what}\n    (cut at {cut})"))?;
    }
    Ok(())
}

/// Replays a transcript with -v, and compares the log with the .v1.log.
pub fn verbose(script: &Script, setup: &dyn Fn() -> Setup) -> Result<(), String> {
    if !script.has_verbose_log() {
        return Ok(());
    }
    let path = script.verbose_path();
    let shown = path.display();
    let wanted = fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
    let wanted = wanted.lines().map(in_words_of_libc);
    let wanted: Vec<String> = wanted.chain(script.adds.clone()).collect();
    let mode = Mode {
        verbose: true,
        ..Mode::default()
    };
    let played = replay(script, setup, mode).map_err(|what| format!("with -v: {what}"))?;
    match log::difference(&wanted, &log::masked(&played.ended.log)) {
        None => Ok(()),
        Some(difference) => Err(format!(
            "{shown}:{}: {}",
            difference.index + 1,
            difference.what
        )),
    }
}

fn replay(script: &Script, setup: &dyn Fn() -> Setup, mode: Mode) -> Result<Played, String> {
    play(script, setup(), mode).map_err(|failure| failure.show(script))
}

/// Compares log and exit status.
fn compare(script: &Script, played: &Played) -> Result<(), String> {
    let path = script.path.display();
    let wanted = script.log.iter().map(|(_, line)| in_words_of_libc(line));
    let wanted: Vec<String> = wanted.chain(script.adds.clone()).collect();
    if let Some(difference) = log::difference(&wanted, &log::masked(&played.ended.log)) {
        let line = script.log.get(difference.index).or(script.log.last());
        let line = line.map_or(0, |(line, _)| *line);
        return Err(format!("{path}:{line}: in the log {}", difference.what));
    }
    let status = played.ended.status_text();
    if status != script.status {
        let wanted = &script.status;
        return Err(format!(
            "{path}: at the end\n    expected  {wanted}\n    came      {status}"
        ));
    }
    Ok(())
}
