//! `make demo`: shows what the daemon is for, by moving a live TCP connection from one
//! process to another.
//!
//! The first process starts the daemon, with the configuration in conf/, and a TCP
//! server. The second connects to the server, saves the connection in the daemon and
//! exits. The third fetches the connection and uses it.

#[path = "harness/mod.rs"]
mod harness;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::client::{list, Client};
use harness::entry::{Entry, SCACHE_LINE};
use harness::master::Setup;

type Outcome = Result<(), Box<dyn Error>>;

const ENDPOINT: &str = "smtp:127.0.0.1:25";
const DESTINATION: &str = "smtp:example.com:25";
/// The properties of the session.
const PROPERTY: &str = "greeting=220";

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
        // Longer than the demo takes, also when somebody stops its output.
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
    say("the daemon has ended, and has logged:");
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
    let mut connection = BufReader::new(TcpStream::connect(address)?);
    let mut greeting = String::new();
    connection.read_line(&mut greeting)?;
    say(&format!(
        "connected to {address}, was told {:?}",
        greeting.trim_end()
    ));
    let mut client = connect(socket)?;
    let save = format!("request=save_endp ttl=100 label={ENDPOINT} property={PROPERTY} .");
    send(&mut client, &save)?;
    receive(&mut client, "dummy= .")?;
    client.send_fd(connection.get_ref().as_fd())?;
    receive(&mut client, "status=0 .")?;
    let bind =
        format!("request=save_dest ttl=100 label={DESTINATION} property= label={ENDPOINT} .");
    send(&mut client, &bind)?;
    receive(&mut client, "status=0 .")?;
    say("saved the connection, and leaves");
    Ok(())
}

fn fetch(socket: &Path) -> Outcome {
    let mut client = connect(socket)?;
    send(
        &mut client,
        &format!("request=find_dest label={DESTINATION} ."),
    )?;
    receive(
        &mut client,
        &format!("status=0 property= property={PROPERTY} ."),
    )?;
    send(&mut client, "dummy= .")?;
    let (_, session) = client.receive_fd()?;
    send(&mut client, "dummy= .")?;
    let mut connection = TcpStream::from(session);
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

/// Connects to the daemon, which announces its protocol.
fn connect(socket: &Path) -> Result<Client, Box<dyn Error>> {
    let mut client = Client::connect(socket)?;
    receive(&mut client, "protocol=connection_cache_protocol .")?;
    Ok(client)
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

/// Sends an attribute list in the notation of [`list`], and shows it.
fn send(client: &mut Client, text: &str) -> Outcome {
    for attribute in text.split(' ').filter(|&word| word != ".") {
        println!("        > {}", attribute.replacen('=', " = ", 1));
    }
    Ok(client.send_list(text)?)
}

/// Receives an attribute list, and shows it; it must be this one.
fn receive(client: &mut Client, expected: &str) -> Outcome {
    let came = client.receive_list()?;
    let text = String::from_utf8_lossy(&came);
    // Names and values in turn, and an empty name at the end.
    let mut words = text.split('\0');
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        match name {
            "" => println!("        < (end)"),
            name => println!("        < {name} = {value}"),
        }
    }
    match came == list(expected) {
        true => Ok(()),
        false => Err(format!("expected {expected}").into()),
    }
}
