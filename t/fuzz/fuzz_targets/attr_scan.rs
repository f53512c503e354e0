//! Any bytes, in pieces of any size: a list is scanned to the same end as if
//! its bytes had come in one piece.
#![no_main]

use std::io::Write;
use std::os::unix::net::UnixStream;

use libfuzzer_sys::fuzz_target;
use scache::util::attr_scan::{AttrFlag, AttrScan, RecvAttr};
use scache::util::stream::Stream;

const WANTED: [RecvAttr; 3] = [
    RecvAttr::Int("ttl"),
    RecvAttr::Str("label"),
    RecvAttr::Str("property"),
];

type Outcome = (i32, Vec<Vec<u8>>);

fuzz_target!(|input: (u8, Vec<u8>, bool)| {
    let (size, bytes, more) = input;
    let flag = if more { AttrFlag::StrictMore } else { AttrFlag::Strict };
    let whole = scan(&bytes, bytes.len().max(1), flag);
    let pieces = scan(&bytes, usize::from(size).max(1), flag);
    assert_eq!(whole, pieces);
});

fn scan(bytes: &[u8], size: usize, flag: AttrFlag) -> Outcome {
    let (mut client, server) = UnixStream::pair().expect("socketpair");
    server.set_nonblocking(true).expect("fcntl");
    let mut stream = Stream::new(server.into(), "fuzz socket".into());
    let mut scan = AttrScan::default();
    let mut pieces = bytes.chunks(size);
    loop {
        stream.set_readable();
        if let Some(count) = scan.attr_scan(&mut stream, &WANTED, flag) {
            let good = count.max(0) as usize;
            let mut values = Vec::new();
            for (index, attr) in WANTED.iter().enumerate().take(good) {
                values.push(match attr {
                    RecvAttr::Int(_) => scan.int(index).to_string().into_bytes(),
                    RecvAttr::Str(_) => scan.str(&stream, index).to_vec(),
                });
            }
            return (count, values);
        }
        match pieces.next() {
            Some(piece) => client.write_all(piece).expect("write"),
            None => client.shutdown(std::net::Shutdown::Write).expect("shutdown"),
        }
    }
}
