//! The service under a scheduler of faults: clients that behave and misbehave, servers
//! that hang up, descriptors that run out, a process that is stopped, reloaded and
//! terminated, in an order that is made from a seed. After each step the daemon is
//! compared with a service that was written a second time (scheduler/service.rs): no
//! session is lost or given to two clients, nobody waits for another, no descriptor is
//! lost, and the log has the lines that it should have.
//!
//! `SEEDS` is the number of runs, 200 by default; `SEED` is the first seed, and alone
//! repeats one run. The steps of a run that fails are reduced to those that matter.
//! They are in scheduler/step.rs, what is done with them in scheduler/run.rs.

// prlimit(2), /proc, and what sockets of Linux do.
#![cfg(target_os = "linux")]

#[path = "clock/shim.rs"]
#[allow(dead_code)]
mod clock;
#[path = "scheduler/connection.rs"]
mod connection;
mod harness;
#[path = "scheduler/lists.rs"]
mod lists;
#[path = "model/naive.rs"]
#[allow(dead_code)]
mod naive;
#[path = "scheduler/run.rs"]
mod run;
#[path = "scheduler/service.rs"]
mod service;
#[path = "scheduler/step.rs"]
mod step;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clock::Shim;
use harness::need;
use harness::random::Random;
use run::Outcome;
use service::Config;
use step::Step;

/// Number of runs at the same time: a run mostly waits for its daemon.
const THREADS: usize = 8;

/// Numbers of descriptors that the daemon may have for clients and sessions: enough,
/// and few.
const DESCRIPTORS: [usize; 3] = [180, 8, 12];

/// Maximum time to look for the steps that matter.
const TIME_TO_SHRINK: Duration = Duration::from_secs(300);

/// Texts that 200 runs log, among others: else they would not test much.
const WANTED: [&str; 26] = [
    "unrecognized request: \"nonsense\", ignored",
    "(expecting: request)",
    "(expecting: label)",
    "(expecting: dummy)",
    "(expecting: (list terminator))",
    "missing attribute label in input",
    "malformed numerical data from scache socket while reading input attribute value: 2x",
    "list too long from scache socket while reading input attribute name",
    "list too long from scache socket while reading input attribute value",
    "unexpected end-of-input from",
    "premature end-of-input on",
    "timeout on",
    "scache_save_endp_service: bad or missing request parameter",
    "scache_save_dest_service: bad or missing request parameter",
    "scache_find_endp_service: bad or missing request parameter",
    "scache_find_dest_service: bad or missing request parameter",
    "unable to receive file descriptor: Application error",
    "unable to receive file descriptor: refused by the system",
    "scache_find_endp_service: cannot send file descriptor: Application error",
    "scache_find_dest_service: cannot send file descriptor: Application error",
    "cannot send file descriptor: Broken pipe",
    "cannot send file descriptor: Connection reset by peer",
    "others have to wait",
    "sessions closed before their time",
    "sessions ended by the other side while cached",
    "5000s asked for, connection_cache_ttl_limit is",
];

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// The configuration and the steps of a seed.
fn plan(seed: u64, own_fds: usize) -> (Config, Vec<Step>) {
    let mut random = Random::new(seed);
    let config = Config {
        own_fds,
        open_files: own_fds + random.pick(&DESCRIPTORS),
        endpoint_limit: *random.pick(&[0, 0, 1, 2]),
    };
    (config, step::steps(&mut random))
}

/// The steps without which there is no failure: leaves out ever smaller parts.
fn shrink(config: Config, shim: &Shim, mut steps: Vec<Step>) -> Vec<Step> {
    let start = Instant::now();
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < steps.len() && start.elapsed() < TIME_TO_SHRINK {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            match run::run(config, shim, &fewer).failure {
                None => at += size,
                Some((count, _)) => {
                    fewer.truncate(count);
                    steps = fewer;
                }
            }
        }
        size /= 2;
    }
    steps
}

/// A report about steps that fail.
fn report(seed: u64, config: Config, shim: &Shim, steps: Vec<Step>, why: &str) -> String {
    let steps = shrink(config, shim, steps);
    let Outcome { trace, failure } = run::run(config, shim, &steps);
    let why = match failure {
        Some((_, why)) => why,
        None => format!("not when repeated; at first: {why}"),
    };
    format!("SEED={seed} fails, with {config:?}:\n{trace}{why}\n")
}

#[test]
fn whatever_clients_and_servers_do_the_service_does_what_the_model_says() {
    if !need::open_files(1000) {
        return;
    }
    let Some(shim) = Shim::to_stop() else { return };
    let (seeds, seed) = (number("SEEDS"), number("SEED"));
    let first = seed.unwrap_or(1);
    let count = seeds.unwrap_or(if seed.is_some() { 1 } else { 200 });
    let own_fds = run::own_fds(&shim).expect("a daemon");
    let next = AtomicU64::new(first);
    let (counts, failure) = (Mutex::new([0; WANTED.len()]), Mutex::new(None));
    let do_runs = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= first + count || failure.lock().unwrap().is_some() {
            return;
        }
        let (config, mut steps) = plan(seed, own_fds);
        let Outcome {
            trace,
            failure: why,
        } = run::run(config, &shim, &steps);
        if let Some((count, why)) = why {
            steps.truncate(count);
            *failure.lock().unwrap() = Some((seed, config, steps, why));
        }
        for (text, count) in WANTED.iter().zip(&mut *counts.lock().unwrap()) {
            *count += usize::from(trace.contains(text));
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(do_runs))));
    if let Some((seed, config, steps, why)) = failure.into_inner().unwrap() {
        panic!("{}", report(seed, config, &shim, steps, &why));
    }
    for (text, runs) in WANTED.iter().zip(counts.into_inner().unwrap()) {
        println!("{runs:6} {text}");
        assert!(runs > 0 || count < 200, "never logged: {text}");
    }
}
