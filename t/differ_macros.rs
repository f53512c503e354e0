//! Looks for differences that no table in t/options shows: sets a parameter to random
//! values with `$name` expressions. The C program and this one must log the same about
//! each value.
//!
//! `SCACHE` names the C program, `SEED` repeats a run, the first argument is the number
//! of values (10000); value N of a seed is the first one of the seed plus N. A value is
//! not compared if the C program crashes on it because it has no stack left.

#[path = "differ_macros/values.rs"]
mod values;

mod harness;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Instant;

use harness::directory::Directory;
use harness::interposed::Interposed;
use harness::log_text::readable;
use harness::master::Setup;
use harness::random::Random;
use harness::sys;

/// Number of values at a time. It is larger without the library that replaces sleep(3),
/// because programs then sleep for a second after a fatal error.
const THREADS: usize = 8;
const SLEEPING_THREADS: usize = 64;

/// Limit of CPU time: a program that needs more does not end.
const CPU_SECONDS: u64 = 20;

/// Number of differences after which the test ends.
const ENOUGH: usize = 10;

/// Runs both programs.
struct Differ {
    c_program: PathBuf,
    directory: Directory,
    /// Makes sleep(3) return at once.
    no_sleep: Option<Interposed>,
}

/// The results of the values.
#[derive(Default)]
struct Tally {
    same: usize,
    /// Of these, those with a warning.
    warned: usize,
    /// Those on which the C program crashed.
    not_compared: usize,
    differences: usize,
}

impl Differ {
    fn new(c_program: OsString) -> Differ {
        let directory = Setup::new()
            .main_cf(values::MAIN_CF)
            .prepare()
            .expect("prepare");
        Differ {
            c_program: c_program.into(),
            no_sleep: Interposed::build("differ_macros/no_sleep.c"),
            directory,
        }
    }

    /// Runs a program. Returns its log and its status. None if a signal has ended it.
    fn run(&self, program: &Path, options: &[Vec<u8>]) -> Option<Vec<String>> {
        let mut command = Command::new(program);
        command.env_clear().env("LANG", "C").env("TZ", "UTC");
        command.env("MAIL_CONFIG", self.directory.path());
        command.envs(
            self.no_sleep
                .iter()
                .map(|library| ("LD_PRELOAD", library.path())),
        );
        command.arg("-S").arg("-V");
        for option in options {
            command.arg("-o").arg(OsString::from_vec(option.clone()));
        }
        sys::limit_cpu_time(&mut command, CPU_SECONDS);
        let output = command.stdin(Stdio::null()).output().expect("run");
        if output.status.signal().is_some() {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let lines = text.lines().filter(|line| !line.contains(": statistics: "));
        let mut lines: Vec<String> = lines.map(readable).collect();
        lines.push(output.status.to_string());
        Some(lines)
    }

    fn compare(&self, seed: u64, tally: &Mutex<Tally>) {
        let options = values::options(&mut Random::new(seed));
        let c = self.run(&self.c_program, &options);
        let here = self.run(Path::new(env!("CARGO_BIN_EXE_scache")), &options);
        let mut tally = tally.lock().expect("no panic");
        match &c {
            Some(lines) if here == c => {
                tally.same += 1;
                tally.warned += usize::from(lines.iter().any(|line| line.contains("warning")));
            }
            None if here.is_some() => tally.not_compared += 1,
            _ => {
                tally.differences += 1;
                println!("\nSEED={seed}");
                for option in &options {
                    println!("    -o '{}'", option.escape_ascii());
                }
                println!("C: {c:#?}\nhere: {here:#?}");
            }
        }
    }
}

fn main() -> ExitCode {
    let Some(c_program) = std::env::var_os("SCACHE") else {
        println!("SKIPPED: SCACHE does not name the C program");
        return ExitCode::SUCCESS;
    };
    let count = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let (seed, start) = (Random::seed(), Instant::now());
    let differ = Differ::new(c_program);
    let threads = match differ.no_sleep {
        Some(_) => THREADS,
        None => SLEEPING_THREADS,
    };
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count || tally.lock().expect("no panic").differences >= ENOUGH {
            break;
        }
        differ.compare(seed.wrapping_add(number as u64), &tally);
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let tally = tally.into_inner().expect("no panic");
    println!(
        "{} values: the same, {} of them with warnings; {} crash the C program; {} different; {:?}",
        tally.same,
        tally.warned,
        tally.not_compared,
        tally.differences,
        start.elapsed()
    );
    match tally.differences {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
