//! `scache_clnt`: the client's side of the connection cache protocol.
//!
//! What a delivery agent does: hand a session over, bind a destination to an
//! endpoint, ask for a session. Calls wait for the daemon, which answers at
//! once or is broken; after an error the connection is of no more use.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::mail_proto::*;
use crate::util::attr_print::{attr_print, SendAttr};
use crate::util::attr_scan::{AttrFlag, AttrScan, RecvAttr};
use crate::util::poll_fd::read_wait;
use crate::util::stream::Stream;
use crate::util::unix_recv_fd::unix_recv_fd;
use crate::util::unix_send_fd::unix_send_fd;

/// A connection to scache(8). The original's `SCACHE_CLNT`.
#[derive(Debug)]
pub struct ScacheClnt {
    stream: Stream,
    scan: AttrScan,
    timeout: Duration,
}

/// A session that was found.
#[derive(Debug)]
pub struct Found {
    /// The open connection.
    pub fd: OwnedFd,
    /// What was saved with the binding; empty when found by endpoint.
    pub dest_prop: Vec<u8>,
    /// What was saved with the session.
    pub endp_prop: Vec<u8>,
}

impl ScacheClnt {
    /// Connects to the socket at `path`. `announced` says whether the daemon
    /// announces its protocol (Postfix 3.6 and later); `timeout` is how long
    /// to wait for each answer. The original's `scache_clnt_create()`.
    pub fn scache_clnt_create(path: &Path, announced: bool, timeout: Duration) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        let stream = Stream::new(socket.into(), path.display().to_string());
        let mut clnt = ScacheClnt {
            stream,
            scan: AttrScan::default(),
            timeout,
        };
        if announced {
            clnt.receive(&[RecvAttr::Str(MAIL_ATTR_PROTO)])?;
            if clnt.str(0) != MAIL_ATTR_PROTO_SCACHE.as_bytes() {
                return Err(protocol_error("this is no connection cache"));
            }
        }
        Ok(clnt)
    }

    /// Saves a session under an endpoint name for `ttl` seconds. The original's
    /// `scache_clnt_save_endp()`.
    pub fn save_endp(
        &mut self,
        ttl: u32,
        endp_label: &[u8],
        endp_prop: &[u8],
        fd: BorrowedFd<'_>,
    ) -> io::Result<()> {
        self.send(&[
            SendAttr::Str(MAIL_ATTR_REQ, SCACHE_REQ_SAVE_ENDP.as_bytes()),
            SendAttr::Int(MAIL_ATTR_TTL, ttl),
            SendAttr::Str(MAIL_ATTR_LABEL, endp_label),
            SendAttr::Str(MAIL_ATTR_PROP, endp_prop),
        ]);
        self.receive(&[RecvAttr::Str(MAIL_ATTR_DUMMY)])?;
        unix_send_fd(self.stream.as_fd(), fd)?;
        self.receive(&[RecvAttr::Int(MAIL_ATTR_STATUS)])?;
        self.expect_done()
    }

    /// Takes the oldest session of an endpoint. The original's
    /// `scache_clnt_find_endp()`.
    pub fn find_endp(&mut self, endp_label: &[u8]) -> io::Result<Option<Found>> {
        self.send(&[
            SendAttr::Str(MAIL_ATTR_REQ, SCACHE_REQ_FIND_ENDP.as_bytes()),
            SendAttr::Str(MAIL_ATTR_LABEL, endp_label),
        ]);
        self.receive(&[
            RecvAttr::Int(MAIL_ATTR_STATUS),
            RecvAttr::Str(MAIL_ATTR_PROP),
        ])?;
        let endp_prop = self.str(1).to_vec();
        self.take_session(Vec::new(), endp_prop)
    }

    /// Binds a destination name to an endpoint name for `ttl` seconds. The
    /// original's `scache_clnt_save_dest()`.
    pub fn save_dest(
        &mut self,
        ttl: u32,
        dest_label: &[u8],
        dest_prop: &[u8],
        endp_label: &[u8],
    ) -> io::Result<()> {
        self.send(&[
            SendAttr::Str(MAIL_ATTR_REQ, SCACHE_REQ_SAVE_DEST.as_bytes()),
            SendAttr::Int(MAIL_ATTR_TTL, ttl),
            SendAttr::Str(MAIL_ATTR_LABEL, dest_label),
            SendAttr::Str(MAIL_ATTR_PROP, dest_prop),
            SendAttr::Str(MAIL_ATTR_LABEL, endp_label),
        ]);
        self.receive(&[RecvAttr::Int(MAIL_ATTR_STATUS)])?;
        self.expect_done()
    }

    /// Takes a session that any endpoint of a destination has. The original's
    /// `scache_clnt_find_dest()`.
    pub fn find_dest(&mut self, dest_label: &[u8]) -> io::Result<Option<Found>> {
        self.send(&[
            SendAttr::Str(MAIL_ATTR_REQ, SCACHE_REQ_FIND_DEST.as_bytes()),
            SendAttr::Str(MAIL_ATTR_LABEL, dest_label),
        ]);
        self.receive(&[
            RecvAttr::Int(MAIL_ATTR_STATUS),
            RecvAttr::Str(MAIL_ATTR_PROP),
            RecvAttr::Str(MAIL_ATTR_PROP),
        ])?;
        let (dest_prop, endp_prop) = (self.str(1).to_vec(), self.str(2).to_vec());
        self.take_session(dest_prop, endp_prop)
    }

    fn take_session(
        &mut self,
        dest_prop: Vec<u8>,
        endp_prop: Vec<u8>,
    ) -> io::Result<Option<Found>> {
        if self.scan.int(0) == SCACHE_STAT_FAIL as i32 {
            return Ok(None);
        }
        self.expect_done()?;
        self.send(&[SendAttr::Str(MAIL_ATTR_DUMMY, b"")]);
        self.wait()?;
        self.stream.take_readable();
        let fd = unix_recv_fd(self.stream.as_fd())?;
        let fd = fd.ok_or_else(|| protocol_error("a descriptor was promised, and none came"))?;
        self.send(&[SendAttr::Str(MAIL_ATTR_DUMMY, b"")]);
        Ok(Some(Found {
            fd,
            dest_prop,
            endp_prop,
        }))
    }

    fn send(&mut self, attrs: &[SendAttr<'_>]) {
        attr_print(&mut self.stream, attrs);
        self.stream.fflush();
    }

    fn receive(&mut self, wanted: &[RecvAttr]) -> io::Result<()> {
        self.stream.forget_strings();
        self.scan.reset();
        loop {
            match self
                .scan
                .attr_scan(&mut self.stream, wanted, AttrFlag::Strict)
            {
                Some(count) if count == wanted.len() as i32 => return Ok(()),
                Some(_) => return Err(protocol_error("not the answer that was expected")),
                None => self.wait()?,
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        if !read_wait(self.stream.as_fd(), self.timeout)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_readable();
        Ok(())
    }

    fn expect_done(&self) -> io::Result<()> {
        match self.scan.int(0) {
            0 => Ok(()),
            status => Err(protocol_error(&format!(
                "the request failed with status {status}"
            ))),
        }
    }

    fn str(&self, index: usize) -> &[u8] {
        self.scan.str(&self.stream, index)
    }
}

fn protocol_error(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::thread::{self, JoinHandle};

    /// A client of a daemon that does this.
    fn client_of(
        daemon: impl FnOnce(&mut UnixStream) + Send + 'static,
    ) -> (ScacheClnt, JoinHandle<()>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let client = ScacheClnt {
            stream: Stream::new(ours.into(), "test".into()),
            scan: AttrScan::default(),
            timeout: Duration::from_secs(60),
        };
        (client, thread::spawn(move || daemon(&mut theirs)))
    }

    /// Hears this, and says that.
    fn answer(client: &mut UnixStream, request: &[u8], reply: &[u8]) {
        let mut heard = vec![0; request.len()];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, request);
        client.write_all(reply).unwrap();
    }

    const FIND_ENDP: &[u8] = b"request\0find_endp\0label\0e\0\0";

    #[test]
    fn a_session_is_taken_with_two_words_about_it() {
        let (mut client, daemon) = client_of(|stream| {
            answer(stream, FIND_ENDP, b"status\x000\0property\0p\0\0");
            answer(stream, b"dummy\0\0\0", b"");
            unix_send_fd(stream.as_fd(), stream.as_fd()).unwrap();
            answer(stream, b"dummy\0\0\0", b"");
        });
        let found = client.find_endp(b"e").unwrap().expect("a session");
        assert_eq!(
            (&found.dest_prop[..], &found.endp_prop[..]),
            (&b""[..], &b"p"[..])
        );
        daemon.join().unwrap();
    }

    #[test]
    fn nothing_found_is_no_error_and_another_answer_is() {
        for (reply, what) in [
            (&b"status\x002\0property\0\0\0"[..], "nothing"),
            (
                b"status\x001\0property\0\0\0",
                "the request failed with status 1",
            ),
            (b"status\x000\0\0", "not the answer that was expected"),
        ] {
            let (mut client, daemon) = client_of(|stream| answer(stream, FIND_ENDP, reply));
            let came = match client.find_endp(b"e") {
                Ok(None) => "nothing".to_string(),
                Ok(Some(_)) => "a session".to_string(),
                Err(err) => err.to_string(),
            };
            assert_eq!(came, what);
            daemon.join().unwrap();
        }
    }
}
