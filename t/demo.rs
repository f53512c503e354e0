//! A live TCP connection, moved from one process to another: what `make demo`
//! shows to somebody who has just cloned this.
//!
//! The first process starts the daemon on a private directory, from conf/, and
//! a TCP server. The second connects to the server, saves the connection in
//! the daemon and is gone. The third fetches it and goes on talking.

#[path = "harness/mod.rs"]
mod harness;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::entry::{Entry, SCACHE_LINE};
use harness::master::Setup;
use scache::global::scache_clnt::ScacheClnt;
use scache::util::msg::{msg_more_verbose, msg_output, Severity};

type Outcome = Result<(), Box<dyn Error>>;

const ENDPOINT: &[u8] = b"smtp:127.0.0.1:25";
const DESTINATION: &[u8] = b"smtp:example.com:25";
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["save", socket, address] => save(Path::new(socket), address),
        ["fetch", socket] => fetch(Path::new(socket)),
        _ => show(),
    }
}

fn show() -> Outcome {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let daemon = Setup::new()
        .configuration(&conf)?
        // Longer than anybody takes to read along.
        .option("-oconnection_cache_ttl_limit=100s")
        .start()?;
    let socket = Entry::parse(SCACHE_LINE).socket_path(daemon.directory(), 0);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    say(&format!(
        "the daemon is process {}, the TCP server listens on {address}",
        daemon.pid()
    ));
    let server = std::thread::spawn(move || serve(listener));
    let socket = socket.to_str().ok_or("a path that is text")?;
    run(&["save", socket, &address.to_string()])?;
    run(&["fetch", socket])?;
    server.join().map_err(|_| "the TCP server failed")??;
    let ended = daemon.end()?;
    say("the daemon's last words:");
    for line in &ended.log {
        println!("    {line}");
    }
    if !ended
        .log
        .iter()
        .any(|line| line.contains("domain lookup hits=1 miss=0"))
    {
        return Err("the daemon did not count one hit".into());
    }
    say("done");
    Ok(())
}

/// The TCP server: one connection, a greeting, an answer for each line.
fn serve(listener: TcpListener) -> std::io::Result<()> {
    let (mut connection, peer) = listener.accept()?;
    writeln!(connection, "220 hello, {peer}")?;
    for line in BufReader::new(connection.try_clone()?).lines() {
        writeln!(
            connection,
            "250 {peer} says {:?} on the same connection",
            line?
        )?;
    }
    Ok(())
}

fn save(socket: &Path, address: &str) -> Outcome {
    show_lists();
    let mut connection = BufReader::new(TcpStream::connect(address)?);
    let mut greeting = String::new();
    connection.read_line(&mut greeting)?;
    say(&format!(
        "connected to {address}, was told {:?}",
        greeting.trim_end()
    ));
    let mut clnt = ScacheClnt::scache_clnt_create(socket, true, TIMEOUT)?;
    clnt.save_endp(100, ENDPOINT, b"greeting=220", connection.get_ref().as_fd())?;
    clnt.save_dest(100, DESTINATION, b"", ENDPOINT)?;
    say("saved the connection, and leaves");
    Ok(())
}

fn fetch(socket: &Path) -> Outcome {
    show_lists();
    let mut clnt = ScacheClnt::scache_clnt_create(socket, true, TIMEOUT)?;
    let found = clnt.find_dest(DESTINATION)?.ok_or("nothing was found")?;
    let mut connection = TcpStream::from(found.fd);
    say(&format!(
        "fetched a connection to {}",
        connection.peer_addr()?
    ));
    writeln!(connection, "NOOP")?;
    let mut answer = String::new();
    BufReader::new(&connection).read_line(&mut answer)?;
    say(&format!("said NOOP, was told {:?}", answer.trim_end()));
    match answer.starts_with("250 ") {
        true => Ok(()),
        false => Err("the connection does not work".into()),
    }
}

fn run(args: &[&str]) -> Outcome {
    let mut command = Command::new(std::env::current_exe()?);
    match command.args(args).stdin(Stdio::null()).status()?.success() {
        true => Ok(()),
        false => Err(format!("demo {args:?} failed").into()),
    }
}

fn say(text: &str) {
    println!("process {}: {text}", std::process::id());
}

/// Shows the attributes that are sent and received, as the library logs them.
fn show_lists() {
    msg_more_verbose();
    msg_output(Box::new(|_: Severity, text: &str| {
        if let Some(attr) = text.strip_prefix("send attr ") {
            println!("        > {attr}");
        } else if let Some(name) = text.strip_prefix("input attribute name: ") {
            print!(
                "        < {name}{}",
                if name == "(end)" { "\n" } else { " = " }
            );
        } else if let Some(value) = text.strip_prefix("input attribute value: ") {
            println!("{}", if value == "(end)" { "" } else { value });
        }
    }));
}
