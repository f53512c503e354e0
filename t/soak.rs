//! Tests that memory does not grow and no descriptor is lost in a long run: a mixed load
//! of 200 clients, some of which disconnect at any moment, for 1 minute or the number of
//! minutes in the first argument. `SEED` repeats the requests of each client, but not
//! their order in time.

mod harness;
#[path = "faults/help.rs"]
#[allow(dead_code)]
mod help;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::client::Client;
use harness::daemon::Daemon;
use harness::random::Random;
use help::*;

const THREADS: usize = 8;
const CLIENTS: usize = 25;

fn main() {
    let minutes: f64 = std::env::args()
        .nth(1)
        .map_or(1.0, |text| text.parse().expect("minutes"));
    let seed = Random::seed();
    let daemon = setup().nofile(20_000, 20_000).start().expect("start");
    let before = Before::of(&daemon);
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (daemon, done) = (&daemon, &done);
            scope.spawn(move || load(daemon, seed + thread as u64, end, done));
        }
        // Memory may grow in the first tenth of the time.
        let total = end - Instant::now();
        std::thread::sleep(total / 10);
        let warm = daemon.memory().expect("/proc");
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(total / 10));
            let (memory, fds) = (
                daemon.memory().expect("/proc"),
                daemon.fd_count().expect("/proc"),
            );
            println!("{memory} KiB, {fds} descriptors");
            assert!(memory < warm + 8192, "{warm} KiB when warm, now {memory}");
        }
    });
    println!("{} exchanges", done.load(Ordering::Relaxed));
    std::thread::sleep(Duration::from_secs(6)); // Longer than any time to live.
    before.is_back(&daemon);
    before.memory_is_back(&daemon, 8192);
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

fn load(daemon: &Daemon, seed: u64, end: Instant, done: &AtomicU64) {
    let mut random = Random::new(seed);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| connect(daemon)).collect();
    while Instant::now() < end {
        let (who, number) = (random.below(CLIENTS), random.below(500));
        let (client, endp) = (&mut clients[who], format!("e{number}"));
        match random.below(10) {
            0..3 => {
                let (file, _) = session();
                save(client, 1 + random.below(5) as u32, &endp, "p", &file);
            }
            3..6 => drop(find(client, &endp)),
            6 | 7 => {
                let dest = random.below(100);
                let text =
                    format!("request=save_dest ttl=5 label=d{dest} property=q label={endp} .");
                ask(client, &text);
            }
            8 => drop(ask(client, "request=nonsense .")),
            _ => {
                // Exchanges that do not find a session, each broken off at some place.
                let exchange = *random.pick(&[EXCHANGES[0], EXCHANGES[3], EXCHANGES[4]]);
                let place = *random.pick(&breaks(exchange));
                begin(client, exchange, place, session().0);
                clients[who] = connect(daemon);
            }
        }
        if random.one_in(20) {
            let _ = find_begun(&mut clients[who], &endp);
            clients[who] = connect(daemon);
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}
