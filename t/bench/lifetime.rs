//! Measures how long sessions stay in the cache. The C program counts whole seconds, so
//! that a session may expire up to a second early or late. Saves sessions with the same
//! time to live at all phases of the wall-clock second, and prints as bars the share of
//! sessions that are found again some time later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::contestant::{session, Contestant};
use super::harness::client::{list, Client};
use super::load::{names, ENDP_PROP};

/// The default time to live of smtp(8), in seconds.
const TTL: u32 = 2;

/// Times between saving a session and looking for it.
const DELAYS: [Duration; 6] = [
    Duration::from_millis(1000),
    Duration::from_millis(1250),
    Duration::from_millis(1500),
    Duration::from_millis(1750),
    Duration::from_millis(1950),
    Duration::from_millis(2050),
];

/// Number of sessions for each delay, and the time in which all are saved.
const SESSIONS: usize = 400;
const SPREAD: Duration = Duration::from_secs(4);

/// A lookup that is later than this is not counted.
const LATE: Duration = Duration::from_millis(10);

/// Length of the bar for 100 %.
const BAR: usize = 25;

/// A session to be saved, or looked for, at a time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    time: Instant,
    delay: usize,
    session: usize,
    saved: bool,
}

/// The results for one delay.
#[derive(Clone, Copy, Default)]
struct Tally {
    asked: usize,
    found: usize,
}

/// Measures one contestant after the other, and draws a bar for each delay.
pub fn compare(contestants: &[Contestant]) -> io::Result<()> {
    println!("\nSessions found again, by seconds since they were saved (ttl {TTL} s)");
    let columns: Vec<Vec<Tally>> = contestants.iter().map(measure).collect::<io::Result<_>>()?;
    let names = contestants.iter().map(|one| {
        let width = BAR + "  100 %  ".len();
        format!("{:width$}", one.name)
    });
    println!("         {}", names.collect::<String>().trim_end());
    for (number, delay) in DELAYS.iter().enumerate() {
        let bars = columns.iter().map(|column| column[number].bar());
        let line = bars.collect::<Vec<String>>().join("  ");
        println!("  {:.2}   {line}", delay.as_secs_f64());
    }
    Ok(())
}

fn measure(contestant: &Contestant) -> io::Result<Vec<Tally>> {
    let daemon = contestant.start_daemon()?;
    let mut client = daemon.connect()?;
    client.receive_list()?;
    let (session, _peer) = session()?;
    let mut tallies = vec![Tally::default(); DELAYS.len()];
    let mut steps = saves(Instant::now());
    while let Some(Reverse(step)) = steps.pop() {
        std::thread::sleep(step.time.saturating_duration_since(Instant::now()));
        let endp = names(step.session * DELAYS.len() + step.delay).1;
        if !step.saved {
            save(&mut client, &endp, &session)?;
            let time = Instant::now() + DELAYS[step.delay];
            steps.push(Reverse(Step {
                time,
                saved: true,
                ..step
            }));
        } else {
            let late = step.time.elapsed() > LATE;
            let found = find(&mut client, &endp)?;
            tallies[step.delay].asked += usize::from(!late);
            tallies[step.delay].found += usize::from(!late && found);
        }
    }
    daemon.kill()?;
    Ok(tallies)
}

/// The sessions to save, distributed evenly over whole seconds.
fn saves(start: Instant) -> BinaryHeap<Reverse<Step>> {
    let save = |number: usize| Step {
        time: start + SPREAD * number as u32 / (SESSIONS * DELAYS.len()) as u32,
        delay: number % DELAYS.len(),
        session: number / DELAYS.len(),
        saved: false,
    };
    (0..SESSIONS * DELAYS.len())
        .map(|number| Reverse(save(number)))
        .collect()
}

fn save(client: &mut Client, endp: &str, session: &impl AsFd) -> io::Result<()> {
    client.send_list(&format!(
        "request=save_endp ttl={TTL} label={endp} property={ENDP_PROP} ."
    ))?;
    client.receive_list()?;
    client.send_fd(session.as_fd())?;
    client.receive_list().map(drop)
}

/// Looks for a session. Returns false if there is none.
fn find(client: &mut Client, endp: &str) -> io::Result<bool> {
    client.send_list(&format!("request=find_endp label={endp} ."))?;
    if client.receive_list()? == list("status=2 property= .") {
        return Ok(false);
    }
    client.send_list("dummy= .")?;
    client.receive_fd()?;
    client.send_list("dummy= .")?;
    Ok(true)
}

impl Tally {
    fn bar(self) -> String {
        let share = self.found as f64 / self.asked.max(1) as f64;
        let bar = "#".repeat((share * BAR as f64).round() as usize);
        format!("{bar:BAR$}  {:3.0} %", share * 100.0)
    }
}
