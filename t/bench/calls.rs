//! Counts, by strace(1), the system calls of a row of requests, with a client that pauses
//! before each request, as clients in mail delivery do.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::contestant::Contestant;
use super::harness::directory::Directory;
use super::load::Kind;

/// Number of calls, by name.
pub type Calls = BTreeMap<String, f64>;

/// Number of rows of requests that are not counted, because the daemon also does work
/// then that it does only once; and number of rows that are counted.
const FIRST_ROWS: usize = 10;
const ROWS: usize = 100;

/// The columns of [`print`].
const COLUMNS: [(&[Kind], [&str; 3]); 4] = [
    (&[Kind::Miss], ["find_endp,", "no session", ""]),
    (&[Kind::Bind], ["save_dest", "", ""]),
    (&[Kind::Save, Kind::Find], ["save_endp,", "find_endp", ""]),
    (
        &[Kind::Save, Kind::Bind, Kind::FindDest],
        ["save_endp,", "save_dest,", "find_dest"],
    ),
];

/// Returns true if there is a strace(1).
pub fn can_be_counted() -> bool {
    let mut strace = Command::new("strace");
    strace.arg("-V").stdout(Stdio::null()).status().is_ok()
}

/// The system calls of one row of requests: the difference of a long and a short run, so
/// that the start and the end of the daemon do not count.
pub fn of_row(contestant: &Contestant, kinds: &[Kind]) -> io::Result<Calls> {
    let mut calls = count(contestant, kinds, FIRST_ROWS + ROWS)?;
    for (name, number) in count(contestant, kinds, FIRST_ROWS)? {
        *calls.entry(name).or_default() -= number;
    }
    calls.values_mut().for_each(|calls| *calls /= ROWS as f64);
    Ok(calls)
}

/// The system calls of a whole run.
fn count(contestant: &Contestant, kinds: &[Kind], rows: usize) -> io::Result<Calls> {
    let directory = Directory::new()?;
    let (script, output) = (
        directory.path().join("daemon"),
        directory.path().join("calls"),
    );
    let text = format!(
        "#!/bin/sh\nexec strace -f -c -o '{}' '{}' \"$@\"\n",
        output.display(),
        contestant.binary.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    let mut running = Contestant {
        binary: script,
        ..contestant.clone()
    }
    .start()?;
    running.run_paused(kinds, rows)?;
    running.end()?;
    Ok(fs::read_to_string(output)?
        .lines()
        .filter_map(parse)
        .collect())
}

/// A line of `strace -c`: percentage, seconds, microseconds per call, number of
/// calls, perhaps number of errors, name. None for its heading and its sum.
fn parse(line: &str) -> Option<(String, f64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let name = words.last().filter(|name| **name != "total")?;
    let calls = words.get(3)?.parse().ok()?;
    Some((name.to_string(), calls))
}

/// Prints a table for each contestant: the calls of a row of requests, by name.
pub fn print(contestants: &[Contestant]) -> io::Result<()> {
    for contestant in contestants {
        println!("\nSystem calls of a row of requests: {}", contestant.name);
        for number in 0..3 {
            let heads = COLUMNS
                .iter()
                .map(|(_, head)| format!("{:>12}", head[number]));
            println!("{:14}{}", "", heads.collect::<String>());
        }
        let rows = COLUMNS.iter().map(|(kinds, _)| of_row(contestant, kinds));
        let mut columns = rows.collect::<io::Result<Vec<Calls>>>()?;
        for column in &mut columns {
            column.retain(|_, calls| *calls > 0.05);
            column.insert("total".to_string(), column.values().sum());
        }
        let mut names: Vec<&String> = columns.iter().flat_map(Calls::keys).collect();
        names.sort_by_key(|name| (*name == "total", *name));
        names.dedup();
        for name in names {
            let calls = columns
                .iter()
                .map(|column| column.get(name).unwrap_or(&0.0));
            let cells: String = calls.map(|calls| format!("{calls:12.1}")).collect();
            println!("{name:14}{cells}");
        }
    }
    Ok(())
}
