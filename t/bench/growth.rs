//! How long a client waits while very many bindings come and go, and how much
//! memory they leave behind. (With C it would take days.)

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::contestant::{Contestant, Sample};
use super::harness::sys;
use super::load::{names, Kind, Script};

/// How long a binding stays, in seconds. One stays longer.
const TTL: u32 = 60;
const LONG_TTL: u32 = 2000;

/// Clients that bind.
const BINDERS: usize = 20;

/// Binds so many names, and lets them end; prints what it has seen.
pub fn watch(contestant: &Contestant, bindings: usize) -> io::Result<()> {
    sys::stay_on_one_cpu()?;
    let mut running = contestant.start()?;
    running.connect(1 + BINDERS)?;
    let empty = running.memory()?;
    let miss = Rc::new(Script::new(&[Kind::Miss], "", "nobody"));
    let mut made = 0;
    let come = running.longest_wait(|number| {
        if number == 0 || made == bindings {
            return (made < bindings).then(|| Rc::clone(&miss));
        }
        made += 1;
        let ttl = if made == bindings / 2 { LONG_TTL } else { TTL };
        let (dest, endp) = names(made);
        let bind = Script::new(&[Kind::Bind], &dest, &endp);
        Some(Rc::new(bind.short_lived(ttl)))
    })?;
    let most = running.memory()?;
    running.connect(1)?;
    let go = running.longest_wait_during(Duration::from_secs(u64::from(TTL) + 2))?;
    let left = running.memory()?;
    println!("{bindings} bindings");
    println!("resident memory, in KiB: {empty} before, {most} then, {left} when one is left");
    println!("the longest wait of another client, in milliseconds:");
    print(" while they come", &come);
    print(" while they go", &go);
    running.end()
}

fn print(title: &str, longest: &Sample) {
    let Sample { wall, cpu } = longest;
    println!("{title:<16}{wall:>8.1}, and {cpu:.1} of the daemon's CPU time");
}
