//! The measurements, their order, and their length.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::calls;
use super::contestant::{stored_text, Contestant, Running, Sample};
use super::harness::sys;
use super::lifetime;
use super::load::{names, Kind, Script, PAUSE};
use super::table::{heading, line, Samples};

/// The loads of the first tables.
const LOADS: [(&str, &[Kind]); 3] = [
    ("find_endp, nothing found", &[Kind::Miss]),
    ("save_endp, find_endp", &[Kind::Save, Kind::Find]),
    (
        "save_endp, save_dest, find_dest",
        &[Kind::Save, Kind::Bind, Kind::FindDest],
    ),
];

/// Number of descriptors that a daemon needs besides those of sessions.
const SPARE_FILES: usize = 200;

/// Maximum number of sessions with which memory is measured.
const MEASURED_MOST: usize = 10_000;

/// Number of sessions that expire at the same time.
const EXPIRING: usize = 5000;

/// Number of sessions under the last endpoint that find_dest comes to.
const FOUND_MOST: usize = 100;

/// All measurements.
pub struct Bench {
    contestants: Vec<Contestant>,
    floor: Contestant,
    open_files: usize,
    rounds: usize,
    time: Duration,
    paused_rows: usize,
    quick: bool,
}

impl Bench {
    /// Few and short rounds, if `quick`.
    pub fn new(contestants: Vec<Contestant>, floor: Contestant, quick: bool) -> io::Result<Bench> {
        Ok(Bench {
            contestants,
            floor,
            open_files: sys::open_files_limit()? as usize,
            rounds: if quick { 3 } else { 9 },
            time: Duration::from_millis(if quick { 40 } else { 120 }),
            paused_rows: if quick { 15 } else { 50 },
            quick,
        })
    }

    /// Does all measurements, and prints each.
    pub fn run(&self) -> io::Result<()> {
        println!(
            "CPU is the CPU time of the daemon, in microseconds per request or row of requests.\n\
             Numbers are medians of {} rounds in which the daemons take turns; a : b is the ratio,\n\
             with its minimum and maximum. Daemons and clients share one CPU, unless SPREAD=1 is\n\
             set.",
            self.rounds
        );
        if std::env::var_os("SPREAD").is_none() {
            sys::stay_on_one_cpu()?;
        }
        self.paused()?;
        lifetime::compare(&self.contestants)?;
        self.clients()?;
        self.sessions()?;
        self.bindings()?;
        self.expiry()?;
        self.start_up()
    }

    fn names(&self, third: Option<&str>) -> Vec<String> {
        let names = self.contestants.iter().map(|one| one.name.clone());
        names.chain(third.map(str::to_string)).collect()
    }

    fn start(&self) -> io::Result<Vec<Running>> {
        self.contestants.iter().map(Contestant::start).collect()
    }

    /// Measures all daemons in turn, in the usual number of rounds.
    fn rounds(
        &self,
        running: &mut [Running],
        measure: impl FnMut(&mut Running) -> io::Result<Sample>,
    ) -> io::Result<Vec<Samples>> {
        self.some_rounds(self.rounds, running, measure)
    }

    fn some_rounds<T>(
        &self,
        rounds: usize,
        running: &mut [T],
        mut measure: impl FnMut(&mut T) -> io::Result<Sample>,
    ) -> io::Result<Vec<Samples>> {
        let mut columns: Vec<Samples> = running.iter().map(|_| Vec::new()).collect();
        let warm_up = usize::from(rounds > 1);
        for round in 0..rounds + warm_up {
            for (one, samples) in running.iter_mut().zip(&mut columns) {
                let sample = measure(one)?;
                if round >= warm_up {
                    samples.push(sample);
                }
            }
        }
        Ok(columns)
    }

    /// Measures clients that pause, as clients in mail delivery do: the daemon sleeps
    /// before each request.
    fn paused(&self) -> io::Result<()> {
        let mut running = self.start()?;
        running.push(self.floor.start()?);
        heading(
            &format!(
                "Clients that pause {} ms before each request",
                PAUSE.as_millis()
            ),
            &self.names(Some("floor")),
        );
        let counted = calls::can_be_counted();
        for (title, kinds) in LOADS {
            println!("{title}");
            for count in [1, 10] {
                for one in &mut running {
                    one.connect(count)?;
                }
                let rows = self.paused_rows;
                let columns = self.rounds(&mut running, |one| one.measure_paused(kinds, rows))?;
                let clients = plural(count, "client");
                line(&format!("  CPU, {clients}"), &columns, |one| one.cpu);
                line(&format!("  context switches, {clients}"), &columns, |one| {
                    one.switches
                });
            }
            if counted {
                self.system_calls(kinds)?;
            }
        }
        if !counted {
            println!("(System calls are not counted: there is no strace.)");
        }
        Ok(())
    }

    fn system_calls(&self, kinds: &[Kind]) -> io::Result<()> {
        let all = self.contestants.iter().chain([&self.floor]);
        let total = |one| Ok(vec![calls::of_row(one, kinds)?.values().sum()]);
        let columns: Vec<Vec<f64>> = all.map(total).collect::<io::Result<_>>()?;
        line("  system calls", &columns, |calls| *calls);
        Ok(())
    }

    fn clients(&self) -> io::Result<()> {
        let mut running = self.start()?;
        running.push(self.floor.start()?);
        let mut walls = Vec::new();
        heading(
            "CPU, by number of clients that never pause",
            &self.names(Some("floor")),
        );
        for (title, kinds) in LOADS {
            println!("{title}");
            for count in [1, 10, 100, 1000] {
                for one in &mut running {
                    one.connect(count)?;
                }
                let columns = self.rounds(&mut running, |one| one.measure(kinds, self.time))?;
                let clients = plural(count, "client");
                line(&format!("  {clients}"), &columns, |sample| sample.cpu);
                if count == 1 {
                    walls.push((title, columns));
                }
            }
        }
        heading(
            "Time on the wall, one client, in microseconds",
            &self.names(Some("floor")),
        );
        for (title, columns) in walls {
            line(title, &columns, |sample| sample.wall);
        }
        Ok(())
    }

    /// Measures by number of sessions. The third daemon is the first one with an empty cache.
    fn sessions(&self) -> io::Result<()> {
        let mut running = self.start()?;
        running.push(self.contestants[0].start()?);
        let memory = |running: &[Running]| -> io::Result<Vec<u64>> {
            running.iter().map(Running::memory).collect()
        };
        let empty = memory(&running)?;
        let mut full = (0, Vec::new());
        heading(
            "CPU, one client, by number of cached sessions (`empty`: the first daemon without any)",
            &self.names(Some("empty")),
        );
        let most = self.open_files.saturating_sub(SPARE_FILES);
        let mut sizes = [100, 1000, 10_000, 50_000]
            .map(|size: usize| size.min(most))
            .to_vec();
        sizes.truncate(if self.quick { 3 } else { 4 });
        sizes.dedup();
        for &size in &sizes {
            let note = " (maximum that the limit of open files allows)";
            println!("{size} cached{}", if size == most { note } else { "" });
            for one in &mut running[..self.contestants.len()] {
                one.fill(size)?;
            }
            for (title, kinds) in LOADS {
                let columns = self.rounds(&mut running, |one| one.measure(kinds, self.time))?;
                line(&format!("  {title}"), &columns, |sample| sample.cpu);
            }
            if size <= MEASURED_MOST {
                full = (size, memory(&running)?);
            }
        }
        self.memory(&empty, full.0, &full.1);
        Ok(())
    }

    /// Prints the memory with an empty cache, and that of each session. `empty` and `full`
    /// are in KiB.
    fn memory(&self, empty: &[u64], sessions: usize, full: &[u64]) {
        let empty = &empty[..self.contestants.len()];
        let each = |(&full, &empty): (&u64, &u64)| {
            let bytes = (full as f64 - empty as f64) * 1024.0 / sessions as f64;
            vec![bytes - stored_text(sessions) as f64]
        };
        heading("Resident memory", &self.names(None));
        let columns: Vec<Vec<f64>> = empty.iter().map(|&kib| vec![kib as f64]).collect();
        line("  nothing cached, KiB", &columns, |kib| *kib);
        let columns: Vec<Vec<f64>> = full.iter().zip(empty).map(each).collect();
        line(
            "  each session without its text, bytes",
            &columns,
            |bytes| *bytes,
        );
    }

    /// Lookups by destination, with sessions only under its last endpoint.
    fn bindings(&self) -> io::Result<()> {
        heading(
            "CPU of find_dest, by number of bindings, of which the last has a session",
            &self.names(None),
        );
        let mut running = self.start()?;
        let (dest, mut made) = (names(0).0, 0);
        for count in [1, 100] {
            let bind = |number| Script::new(&[Kind::Bind], &dest, &names(number).1);
            for one in &mut running {
                one.run_scripts((made..count).map(bind))?;
            }
            made = count;
            let last = names(count - 1).1;
            let save = |_| Script::new(&[Kind::Save], "", &last);
            let find = Rc::new(Script::new(&[Kind::FindDest], &dest, ""));
            let columns = self.rounds(&mut running, |one| {
                one.run_scripts((0..FOUND_MOST).map(save))?;
                let mut finds = (0..FOUND_MOST).map(|_| find.clone());
                one.measure_scripts(|_| finds.next())
            })?;
            line(
                &format!("  {}", plural(count, "binding")),
                &columns,
                |sample| sample.cpu,
            );
        }
        Ok(())
    }

    /// Requests of one client while sessions expire.
    fn expiry(&self) -> io::Result<()> {
        let sessions = EXPIRING.min(self.open_files.saturating_sub(SPARE_FILES));
        heading(
            "Longest time between a request and its answer, in milliseconds",
            &self.names(None),
        );
        let mut running = self.start()?;
        let columns =
            self.some_rounds(self.rounds / 3, &mut running, |one| one.expire(sessions))?;
        line(
            &format!("  while {sessions} sessions end"),
            &columns,
            |sample| sample.wall,
        );
        line("    CPU of the daemon", &columns, |sample| sample.cpu);
        Ok(())
    }

    /// Start-up, from exec to the announcement for a client that has connected.
    fn start_up(&self) -> io::Result<()> {
        let mut contestants = self.contestants.clone();
        contestants.push(self.floor.clone());
        heading(
            "From exec to the first announcement, in microseconds",
            &self.names(Some("floor")),
        );
        let columns = self.some_rounds(self.rounds * 3, &mut contestants, |one| one.start_up())?;
        line("  wall", &columns, |sample| sample.wall);
        line("  CPU, fork and exec included", &columns, |sample| {
            sample.cpu
        });
        Ok(())
    }
}

/// A number and a noun, `1 client` or `2 clients`.
fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
