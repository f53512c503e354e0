//! The steps of a run, as data: they are all chosen from the seed before the first one
//! is done. Each can be done whatever was done before it, so that any of them can be
//! left out to find those that matter.

use std::fmt;

use crate::harness::client::list;
use crate::harness::random::Random;

/// Number of clients.
pub const CLIENTS: usize = 5;

/// A step.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client does something.
    Client(usize, Does),
    /// The server of one of the sessions that are open, counted from 0 on.
    Server(usize, Serves),
    /// SIGSTOP and SIGCONT.
    Stop,
    Continue,
    /// This number of seconds passes.
    Pass(u64),
    /// The limit on open files is set to those that are open, or back.
    NoFiles,
    EnoughFiles,
    /// As `postfix reload` does, or SIGTERM; the clients with these numbers go on.
    End {
        sigterm: bool,
        go_on: Vec<usize>,
    },
}

/// What a client does. All but the last three connect it if it is not connected.
#[derive(Clone, Debug)]
pub enum Does {
    Connect,
    /// Sends lists, in the notation of the transcripts, in one call.
    Send(String),
    /// Sends only this number of bytes at first.
    SendPart(String, usize),
    /// Sends the rest of the list, or what a client of Postfix would send now.
    Proceed,
    /// Sends bytes with a number of descriptors.
    SendWith(usize, Vec<u8>),
    /// Sends any bytes.
    Rubbish(Vec<u8>),
    /// Reads nothing, until it reads again.
    Ignore,
    Read,
    HalfClose,
    Die,
}

/// What the server at the other end of a session does.
#[derive(Clone, Copy, Debug)]
pub enum Serves {
    HangUp,
    Speak,
    Reset,
}

/// Requests that are not as they should be.
const BAD: [&str; 16] = [
    "request=nonsense .",
    "request=save_endp ttl=0 label=e0 property=p .",
    "request=save_endp ttl=-3 label=e0 property=p .",
    "request=save_endp ttl=2x label=e0 property=p .",
    "request=save_endp ttl= label=e0 property=p .",
    "request=save_endp label=e0 ttl=10 property=p .",
    "request=save_endp ttl=10 label=e0 .",
    "request=save_dest ttl=10 label=d0 property=q .",
    "request=find_endp label=e0 extra=1 .",
    "request=find_dest .",
    "request=find_dest label=d0 label=d1 .",
    "request=find_endp property=p .",
    "status=0 .",
    "dummy= .",
    "request= .",
    ".",
];

fn request(random: &mut Random, number: usize) -> String {
    let (endp, dest) = (random.below(2), random.below(2));
    let ttl = *random.pick(&[5, 40, 100, 300, 499, 500, 5000]);
    match random.below(10) {
        0..4 => format!("request=save_endp ttl={ttl} label=e{endp} property=p{number} ."),
        4 | 5 => format!("request=save_dest ttl={ttl} label=d{dest} property=q label=e{endp} ."),
        6 | 7 => format!("request=find_endp label=e{endp} ."),
        _ => format!("request=find_dest label=d{dest} ."),
    }
}

/// A list with about as many bytes of names and values as it may have, or more.
fn long(random: &mut Random) -> String {
    let (begin, end) = *random.pick(&[
        ("request=", " ."),
        ("", "= ."),
        ("request=find_endp label=", " ."),
        ("request=save_dest ttl=100 label=d0 property=q label=", " ."),
    ]);
    let others = list(&format!("{begin}{end}"));
    let others = others.iter().filter(|&&byte| byte != 0).count();
    let length = *random.pick(&[10_000, 65_536, 65_537, 65_538, 70_000]);
    format!("{begin}{}{end}", "x".repeat(length - others))
}

fn rubbish(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.below(20);
    let bytes = b"\0\0\0ab=\xff\n 7";
    (0..length).map(|_| *random.pick(bytes)).collect()
}

/// An exchange of a client that does not wait for answers.
fn does_not_wait(text: String) -> Vec<Does> {
    let dummy = || Does::Send("dummy= .".into());
    match text.starts_with("request=find") {
        true => vec![Does::Send(text), dummy(), dummy()],
        false => vec![Does::Send(text), Does::SendWith(1, b"\0".to_vec())],
    }
}

/// What a client does next, from a whole exchange to a word.
fn behaviour(random: &mut Random, number: usize) -> Vec<Does> {
    let text = request(random, number);
    let mut does = match random.below(40) {
        0..14 => vec![Does::Send(text)],
        14..20 => {
            let bytes = list(&text);
            let length = 1 + random.below(bytes.len() - 1);
            // Half of them up to the end of a name or a value.
            let end = bytes[..length].iter().rposition(|&byte| byte == 0);
            let end = end.filter(|_| random.one_in(2));
            vec![Does::SendPart(text, end.map_or(length, |end| end + 1))]
        }
        20..25 => {
            let mut does = does_not_wait(text);
            if random.one_in(2) {
                does.push(Does::Die);
            }
            return does;
        }
        25..28 => {
            let end = random.pick(&[Does::Read, Does::Die, Does::Die]).clone();
            let mut does = vec![Does::Ignore, Does::Send(text)];
            does.extend(vec![Does::Proceed; random.below(3)]);
            does.push(end);
            return does;
        }
        28 | 29 => {
            let count = *random.pick(&[0, 1, 2, 2, 3]);
            let bytes = *random.pick(&[&b"\0"[..], b"\0", b"x", b"\0dummy\0\0\0"]);
            vec![Does::Send(text), Does::SendWith(count, bytes.to_vec())]
        }
        30 => vec![Does::SendWith(1 + random.below(3), list(&text))],
        31 | 32 => {
            let more = (0..1 + random.below(3)).map(|_| match random.one_in(3) {
                true => random.pick(&BAD).to_string(),
                false => request(random, number),
            });
            let more: Vec<String> = more.collect();
            return vec![Does::Send(format!("{text} {}", more.join(" ")))];
        }
        33 => {
            let text = long(random);
            return match random.one_in(3) {
                true => vec![Does::SendPart(text, 3_900), Does::Proceed],
                false => vec![Does::Send(text)],
            };
        }
        34 => return vec![Does::Send(random.pick(&BAD).to_string())],
        35 => return vec![Does::Rubbish(rubbish(random))],
        36 => return vec![Does::Connect],
        37 => return vec![Does::HalfClose],
        _ => return vec![Does::Die],
    };
    let times = if random.one_in(2) { 3 } else { random.below(4) };
    does.extend(vec![Does::Proceed; times]);
    match random.below(8) {
        0 | 1 => does.push(Does::Die),
        2 => does.push(Does::HalfClose),
        _ => {}
    }
    does
}

/// The steps of this seed.
pub fn steps(random: &mut Random) -> Vec<Step> {
    let count = 30 + random.below(60);
    let mut plans = vec![Vec::new(); CLIENTS];
    // The steps until the process goes on, or has enough descriptors.
    let (mut stopped, mut scarce, mut who) = (0, 0, 0);
    let mut steps = Vec::new();
    // Something to find.
    for number in 0..random.below(CLIENTS + 1) {
        let (endp, ttl) = (random.below(2), random.pick(&[100, 300, 500]));
        for text in [
            format!("request=save_endp ttl={ttl} label=e{endp} property=first{number} ."),
            format!("request=save_dest ttl={ttl} label=d{endp} property=q label=e{endp} ."),
        ] {
            let does = [Does::Send(text), Does::Proceed];
            steps.extend(does.map(|does| Step::Client(number, does)));
        }
    }
    for number in 0..count {
        let step = match random.below(40) {
            _ if stopped == 1 => Step::Continue,
            _ if scarce == 1 => Step::EnoughFiles,
            0..3 if stopped == 0 => {
                stopped = 2 + random.below(10);
                Step::Stop
            }
            3 if scarce == 0 => {
                scarce = 2 + random.below(10);
                Step::NoFiles
            }
            4 | 5 => Step::Pass(*random.pick(&[1, 1, 5, 29, 30, 100, 250])),
            6 if random.one_in(3) => Step::End {
                sigterm: random.one_in(2),
                go_on: (0..CLIENTS).filter(|_| random.one_in(2)).collect(),
            },
            7..9 => {
                let serves = *random.pick(&[Serves::HangUp, Serves::Speak, Serves::Reset]);
                Step::Server(random.below(20), serves)
            }
            _ => {
                // Mostly the same few, so that they get on; and often the same one if
                // the process does not see when it does each thing.
                if stopped == 0 || random.one_in(4) {
                    who = random.below(CLIENTS).min(random.below(CLIENTS));
                }
                let plan: &mut Vec<Does> = &mut plans[who];
                if plan.is_empty() {
                    *plan = behaviour(random, number);
                    plan.reverse();
                }
                Step::Client(who, plan.pop().expect("a behaviour"))
            }
        };
        stopped -= usize::from(stopped > 0);
        scarce -= usize::from(scarce > 0);
        steps.push(step);
    }
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Client(who, does) => write!(f, "client {who} {does}"),
            Step::Server(nth, serves) => {
                let what = match serves {
                    Serves::HangUp => "hangs up",
                    Serves::Speak => "says something",
                    Serves::Reset => "resets the connection",
                };
                write!(f, "the server of open session {nth} (modulo) {what}")
            }
            Step::Stop => write!(f, "SIGSTOP"),
            Step::Continue => write!(f, "SIGCONT"),
            Step::Pass(seconds) => write!(f, "{seconds} s pass"),
            Step::NoFiles => write!(f, "no more descriptors"),
            Step::EnoughFiles => write!(f, "enough descriptors again"),
            Step::End { sigterm, go_on } => {
                let what = if *sigterm {
                    "SIGTERM"
                } else {
                    "postfix reload"
                };
                write!(f, "{what}; clients {go_on:?} go on")
            }
        }
    }
}

impl fmt::Display for Does {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Does::Connect => write!(f, "connects"),
            Does::Send(text) => write!(f, "sends {}", shorten(text)),
            Does::SendPart(text, length) => {
                write!(f, "sends the first {length} bytes of {}", shorten(text))
            }
            Does::Proceed => write!(f, "goes on"),
            Does::SendWith(count, bytes) => {
                let bytes = shorten(&bytes.escape_ascii().to_string());
                write!(f, "sends {count} descriptors with \"{bytes}\"")
            }
            Does::Rubbish(bytes) => write!(f, "sends \"{}\"", bytes.escape_ascii()),
            Does::Ignore => write!(f, "reads no replies from now on"),
            Does::Read => write!(f, "reads replies again"),
            Does::HalfClose => write!(f, "shuts down sending"),
            Does::Die => write!(f, "dies"),
        }
    }
}

/// A text, or the begin of a long one.
pub fn shorten(text: &str) -> String {
    match text.len() {
        0..200 => text.to_string(),
        length => format!("{}... ({length} bytes)", &text[..60]),
    }
}
