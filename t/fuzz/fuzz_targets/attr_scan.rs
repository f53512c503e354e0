//! Scans any bytes as an attribute list, in pieces of any size: the result is the same
//! as in one piece.
#![no_main]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use libfuzzer_sys::fuzz_target;
use scache::util::attr_scan::{attr_scan, AttrFlag, RecvAttr};
use scache::util::stream::{ReadSpace, Stream};
use scache::util::wait::{run, Task};

/// The result of attr_scan, and the values.
type Outcome = (i32, i32, Vec<u8>, Vec<u8>);

fuzz_target!(|input: (u8, Vec<u8>, bool)| {
    let (size, bytes, more) = input;
    let flag = if more {
        AttrFlag::StrictMore
    } else {
        AttrFlag::Strict
    };
    let whole = scan(&bytes, bytes.len().max(1), flag);
    let pieces = scan(&bytes, usize::from(size).max(1), flag);
    assert_eq!(whole, pieces);
});

fn scan(bytes: &[u8], size: usize, flag: AttrFlag) -> Outcome {
    let (mut client, server) = UnixStream::pair().expect("socketpair");
    server.set_nonblocking(true).expect("fcntl");
    let stream = Stream::new(server.into(), "fuzz socket".into(), ReadSpace::default());
    let (mut count, mut ttl, mut label, mut property) = (0, 0, Vec::new(), Vec::new());
    let mut task: Task = Box::pin(async {
        let wanted = &mut [
            RecvAttr::Int("ttl", &mut ttl),
            RecvAttr::Str("label", &mut label),
            RecvAttr::Str("property", &mut property),
        ];
        count = attr_scan(&stream, flag, wanted).await;
    });
    let mut pieces = bytes.chunks(size);
    while !run(&mut task) {
        match pieces.next() {
            Some(piece) => client.write_all(piece).expect("write"),
            None => client.shutdown(Shutdown::Write).expect("shutdown"),
        }
    }
    drop(task);
    (count, ttl, label, property)
}
