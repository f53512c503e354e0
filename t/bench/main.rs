//! Benchmarks: the time for which the daemon keeps sessions (`lifetime`), and the cost of
//! requests, compared with the C program and with the minimum cost of the protocol on
//! this machine (`floor`).
//!
//! Starts the daemons as master(8) would, gives all of them the same load in
//! alternating rounds, and prints tables. `quick` makes it short. Two programs may be
//! named, which are compared instead of this one and the C program:
//!
//!     cargo bench --bench bench -- [quick] [A [B]]
//!
//! `syscalls [A [B]]` prints the system calls by name.
//!
//! `drive PROGRAM COUNT KIND...` is for the script `syscalls`: sends requests of these
//! kinds in a row, COUNT times without a pause, and lets the daemon end.

mod calls;
mod contestant;
mod epoll;
mod floor;
#[path = "../harness/mod.rs"]
mod harness;
mod lifetime;
mod load;
mod rounds;
mod table;

use std::io;
use std::path::Path;

use contestant::Contestant;
use load::{names, Kind, Script};
use rounds::Bench;

/// The C program of an installed Postfix.
const C_DAEMON: &str = "/usr/lib/postfix/sbin/scache";

/// Without -u, so that valgrind can write its file at the end.
const DRIVEN_LINE: &str = "scache unix - n n - 1 scache";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // (cargo adds --bench.)
    let words = arguments.iter().map(String::as_str);
    let words: Vec<&str> = words.filter(|word| *word != "--bench").collect();
    match words[..] {
        ["floor", ..] => floor::main(),
        ["drive", program, count, ref kinds @ ..] => {
            drive(program, count.parse().map_err(io::Error::other)?, kinds)
        }
        ["syscalls", ref programs @ ..] => {
            let mut contestants = contestants(programs);
            contestants.push(floor()?);
            calls::print(&contestants)
        }
        ["quick", ref programs @ ..] => Bench::new(contestants(programs), floor()?, true)?.run(),
        ref programs => Bench::new(contestants(programs), floor()?, false)?.run(),
    }
}

/// The programs that are named, or else this one; and the C program, unless two are
/// named.
fn contestants(programs: &[&str]) -> Vec<Contestant> {
    let given = programs.iter();
    let mut contestants: Vec<Contestant> = given
        .map(|path| Contestant::new(&name_of(path), Path::new(path)))
        .collect();
    if contestants.is_empty() {
        contestants.push(Contestant::new("scache", &harness::master::binary()));
    }
    if contestants.len() == 1 && Path::new(C_DAEMON).exists() {
        contestants.push(Contestant::new("C", Path::new(C_DAEMON)));
    }
    contestants
}

fn floor() -> io::Result<Contestant> {
    Ok(Contestant {
        is_floor: true,
        ..Contestant::new("floor", &std::env::current_exe()?)
    })
}

fn name_of(path: &str) -> String {
    let name = match Path::new(path).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.to_string(),
    };
    match path == C_DAEMON {
        true => "C".to_string(),
        false => name,
    }
}

fn drive(program: &str, count: usize, kinds: &[&str]) -> io::Result<()> {
    let kind = |word: &&str| match *word {
        "miss" => Ok(Kind::Miss),
        "save_endp" => Ok(Kind::Save),
        "find_endp" => Ok(Kind::Find),
        "save_dest" => Ok(Kind::Bind),
        "find_dest" => Ok(Kind::FindDest),
        _ => Err(io::Error::other(format!("unknown kind of request: {word}"))),
    };
    let kinds = kinds.iter().map(kind).collect::<io::Result<Vec<Kind>>>()?;
    let contestant = Contestant {
        line: DRIVEN_LINE,
        ..Contestant::new("", Path::new(program))
    };
    let mut daemon = contestant.start()?;
    let (dest, endp) = names(0);
    let scripts = (0..count).map(|_| Script::new(&kinds, &dest, &endp));
    daemon.run_scripts(scripts)?;
    daemon.end()
}
