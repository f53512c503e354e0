//! Tests that the daemon answers and logs as the C program does: replays every
//! t/transcripts/*.scn and compares replies, descriptors, log lines and exit status;
//! replays it again with -v, and compares the log with the .v1.log.
//!
//! In a transcript time passes only where it says so. If a replay fails and this program
//! was stalled meanwhile, it is done again.
//!
//! Environment: `SCACHE` is the program under test (default: the program that cargo
//! built), `RECORD=1` records the expectations anew (with the C program only), `CHROOT=1`
//! runs the daemon in a chroot jail, `PRIVILEGED=1` makes it keep its privileges,
//! `JOBS=N` replays N transcripts at a time. Arguments: only transcripts whose names
//! contain one of these words.

mod harness;
mod replay;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use harness::kind::{Kind, Program};
use harness::master::{self, Setup};
use harness::version::Versions;
use replay::script::Script;
use replay::{record, verdict};

/// The options in the environment.
struct Options {
    program: Program,
    record: bool,
    chroot: bool,
    privileged: bool,
}

impl Options {
    fn from_environment() -> Options {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Options {
            program: Program::of(&master::binary()),
            record: set("RECORD"),
            chroot: set("CHROOT"),
            privileged: set("PRIVILEGED"),
        }
    }

    /// The setup for a transcript of these versions. None if the program cannot behave
    /// as one of them.
    fn setup(&self, versions: &Versions) -> Option<Setup> {
        let arguments = self.program.arguments(versions)?;
        let setup = Setup::new().entry(|entry| {
            entry.chroot = self.chroot;
            entry.unprivileged = !self.privileged;
        });
        let setup = match *versions == Versions::default() {
            true => setup,
            false => setup.own_version(),
        };
        let setup = arguments
            .iter()
            .fold(setup, |setup, argument| setup.option(argument));
        Some(setup)
    }
}

fn main() -> ExitCode {
    let options = Options::from_environment();
    let is_c = options.program.kind == Kind::C;
    assert!(!options.record || is_c, "only the C program is recorded");
    let scripts = scripts(&std::env::args().skip(1).collect::<Vec<_>>());
    let jobs = std::env::var("JOBS")
        .ok()
        .and_then(|jobs| jobs.parse().ok())
        .unwrap_or(8);
    let next = AtomicUsize::new(0);
    let ignored = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::spawn(count_stalls);
    println!("\nrunning {} tests", scripts.len());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(path) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = replay_in_time(path, &options);
                    let name = path.file_stem().unwrap_or_default().to_string_lossy();
                    let verdict = match result {
                        Ok(true) => "ok",
                        Ok(false) => "ignored",
                        Err(_) => "FAILED",
                    };
                    println!("test {name} ... {verdict}");
                    ignored.fetch_add(usize::from(result == Ok(false)), Ordering::Relaxed);
                    failures.lock().expect("no panics").extend(result.err());
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panics");
    summary(scripts.len(), ignored.into_inner(), failures)
}

fn summary(count: usize, ignored: usize, mut failures: Vec<String>) -> ExitCode {
    failures.sort();
    if !failures.is_empty() {
        println!("\nfailures:\n\n{}", failures.join("\n\n"));
    }
    let failed = failures.len();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; {ignored} ignored\n",
        count - failed - ignored
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The transcripts whose names contain one of the words; without words all.
fn scripts(arguments: &[String]) -> Vec<PathBuf> {
    let words: Vec<&String> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("t/transcripts");
    let entries = fs::read_dir(&directory).expect("t/transcripts");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let wanted = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let chosen = words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
        chosen && path.extension().is_some_and(|extension| extension == "scn")
    };
    let mut paths: Vec<PathBuf> = paths.filter(wanted).collect();
    paths.sort();
    paths
}

/// Number of times at which this program did not run for [`STALL`] although it could.
static STALLS: AtomicUsize = AtomicUsize::new(0);

const STALL: Duration = Duration::from_millis(200);

/// Maximum number of replays that fail before the transcript does.
const TRIES: usize = 4;

fn count_stalls() {
    loop {
        let start = Instant::now();
        std::thread::sleep(STALL / 4);
        if start.elapsed() > STALL {
            STALLS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Does [`replay_file`] again if it fails and there was a stall.
fn replay_in_time(path: &Path, options: &Options) -> Result<bool, String> {
    for _ in 1..TRIES {
        let before = STALLS.load(Ordering::Relaxed);
        match replay_file(path, options) {
            Err(what) if STALLS.load(Ordering::Relaxed) > before => {
                println!("after a stall, tried again: {what}");
            }
            result => return result,
        }
    }
    replay_file(path, options)
}

/// Does all replays of a transcript. Returns false if it is for other versions. The
/// error is text to print.
fn replay_file(path: &Path, options: &Options) -> Result<bool, String> {
    let script = Script::read(path, options.program.kind)?;
    let Some(setup) = options.setup(&script.versions) else {
        return Ok(false);
    };
    let setup = || setup.clone();
    if options.record {
        record::all(&script, &setup)?;
    } else {
        verdict::plain(&script, &setup)?;
        verdict::verbose(&script, &setup)?;
    }
    Ok(true)
}
