//! `stream`: the connection to one client, with its buffers.
//!
//! What the original's `VSTREAM` is to a client. Where that blocks, a function in
//! here waits (see [`wait`](super::wait)), for descriptors that never block.
//! Input is read in pieces of at most [`STREAM_BUFSIZE`] bytes and only when the
//! piece before has been used up, so that printing a reply drops as much unread
//! input as in the original.
//!
//! A stream is shared by the request that uses it and the event loop, which looks
//! at what the request waits for and says when that is in vain.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use memchr::memchr;

use super::wait::{wait_for, Wait};

/// The most input that is read ahead, in bytes. The original's
/// `VSTREAM_BUFSIZE`.
pub const STREAM_BUFSIZE: usize = 4096;

/// The longest list, in bytes of names and values.
pub const LIST_LIMIT: usize = 65_536;

/// Why there is no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoInput {
    /// The client has closed its side, or is gone, or the process ends.
    Eof,
    /// The client took too long.
    Timeout,
    /// The list is longer than [`LIST_LIMIT`].
    TooLong,
}

/// A connection with its buffers.
#[derive(Debug)]
pub struct Stream {
    input: File,
    output: Option<File>,
    path: Rc<str>,
    wait: Cell<Wait>,
    /// The wait that ends now was in vain.
    is_late: Cell<bool>,
    /// No other request is begun.
    is_last: Cell<bool>,
    /// Every wait is in vain.
    is_cut_off: Cell<bool>,
    ended: Cell<Option<NoInput>>,
    /// The errno that ended the connection.
    error: Cell<Option<i32>>,
    /// Nothing is written any more.
    is_mute: Cell<bool>,
    read_buf: RefCell<ReadBuf>,
    write_buf: RefCell<WriteBuf>,
    /// Names and numbers of a list, while they are scanned.
    text_buf: RefCell<Vec<u8>>,
}

#[derive(Debug, Default)]
struct ReadBuf {
    data: Vec<u8>,
    unread: Range<usize>,
    /// How much of a list has come, in bytes of names and values.
    list_len: usize,
}

#[derive(Debug, Default)]
struct WriteBuf {
    data: Vec<u8>,
    written: usize,
}

impl Stream {
    /// A stream over a socket; `path` names it in messages.
    pub fn new(socket: OwnedFd, path: Rc<str>) -> Stream {
        Stream {
            input: File::from(socket),
            output: None,
            path,
            wait: Cell::new(Wait::Turn),
            is_late: Cell::new(false),
            is_last: Cell::new(false),
            is_cut_off: Cell::new(false),
            ended: Cell::new(None),
            error: Cell::new(None),
            is_mute: Cell::new(false),
            read_buf: RefCell::default(),
            write_buf: RefCell::default(),
            text_buf: RefCell::default(),
        }
    }

    /// A stream that reads here and writes there.
    pub fn with_output(input: OwnedFd, output: OwnedFd, path: Rc<str>) -> Stream {
        Stream {
            output: Some(File::from(output)),
            ..Stream::new(input, path)
        }
    }

    /// What it is called in messages. The original's `VSTREAM_PATH`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the client's request waits for.
    pub fn wait(&self) -> Wait {
        self.wait.get()
    }

    /// The descriptor that output goes to.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    /// The client took too long for what is waited for.
    pub fn time_out(&self) {
        self.is_late.set(true);
    }

    /// The request that has begun, or that is there, is the last one.
    pub fn begin_no_other(&self) {
        self.is_last.set(true);
    }

    /// There is no time left to wait for the client.
    pub fn cut_off(&self) {
        self.is_cut_off.set(true);
    }

    /// Why the input has ended, if it has.
    pub fn ended(&self) -> Option<NoInput> {
        self.ended.get()
    }

    /// The error that ended the connection, if it was one.
    pub fn error(&self) -> Option<io::Error> {
        self.error.get().map(io::Error::from_raw_os_error)
    }

    /// Waits for the next request, for as long as the client likes. Returns false
    /// when there will be none.
    pub async fn next_request(&self) -> bool {
        let may_begin = self.ended().is_none() && !self.is_last.get();
        may_begin && self.fill(Wait::Request).await.is_ok()
    }

    /// Waits until there is input that was not looked at, without taking it.
    /// Returns false when there will be none. The original's `vstream_peek() > 0`.
    pub async fn peek(&self) -> bool {
        self.has_unread() || self.fill(Wait::Input).await.is_ok()
    }

    /// Whether input that was read is still to be looked at.
    pub fn has_unread(&self) -> bool {
        !self.read_buf.borrow().unread.is_empty()
    }

    /// Takes the next NUL-terminated string. Fails when the input ends before its
    /// NUL; `string` is then what has come of it.
    pub async fn get_string(&self, string: &mut Vec<u8>) -> Result<(), NoInput> {
        string.clear();
        while !self.take_string(string)? {
            self.fill(Wait::Input).await?;
        }
        Ok(())
    }

    /// Takes as much of a string as was read. Returns true at its end.
    fn take_string(&self, string: &mut Vec<u8>) -> Result<bool, NoInput> {
        let buf = &mut *self.read_buf.borrow_mut();
        let unread = &buf.data[buf.unread.clone()];
        let end = memchr(0, unread);
        let text = &unread[..end.unwrap_or(unread.len())];
        string.extend_from_slice(text);
        buf.list_len += text.len();
        buf.unread.start += end.map_or(text.len(), |end| end + 1);
        if buf.list_len > LIST_LIMIT {
            self.end(NoInput::TooLong);
            buf.unread = 0..0;
            return Err(NoInput::TooLong);
        }
        Ok(end.is_some())
    }

    /// The next string begins another list.
    pub fn end_list(&self) {
        self.read_buf.borrow_mut().list_len = 0;
    }

    /// A buffer for the parts of a list. [`Stream::keep_text_buf`] takes it back.
    pub fn take_text_buf(&self) -> Vec<u8> {
        self.text_buf.take()
    }

    /// Keeps the buffer for the next list.
    pub fn keep_text_buf(&self, buf: Vec<u8>) {
        self.text_buf.replace(buf);
    }

    /// Turns from reading to writing, which drops the input that was read but
    /// not used, unless output goes elsewhere.
    pub fn put_string(&self, text: &[u8]) {
        if self.output.is_none() {
            self.read_buf.borrow_mut().unread = 0..0;
        }
        if !self.is_mute.get() {
            let buf = &mut self.write_buf.borrow_mut().data;
            buf.extend_from_slice(text);
            buf.push(0);
        }
    }

    /// Writes what was put. The original's `vstream_fflush()`. A write that fails
    /// or takes too long ends input and output: it shows when the next input is
    /// asked for, and [`Stream::error`] says why.
    pub async fn fflush(&self) {
        while !self.write() {
            if let Err(why) = self.writable().await {
                self.end_in_vain(why);
            }
        }
    }

    /// Writes as much as goes. Returns false when something is left.
    fn write(&self) -> bool {
        let WriteBuf { data, written } = &mut *self.write_buf.borrow_mut();
        while !self.is_mute.get() && *written < data.len() {
            let mut output = self.output.as_ref().unwrap_or(&self.input);
            match output.write(&data[*written..]) {
                Ok(count) => *written += count,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return false,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    self.fail(&err);
                    self.is_mute.set(true);
                }
            }
        }
        data.clear();
        *written = 0;
        true
    }

    /// Lets the others have their turn.
    pub async fn turn(&self) {
        // A turn comes even when the process ends.
        let _ = self.wait_until(Wait::Turn).await;
    }

    /// Waits for input. Fails when the client takes too long.
    pub async fn readable(&self) -> Result<(), NoInput> {
        self.wait_until(Wait::Input).await
    }

    /// Waits until something can be written. Fails when the client takes too long.
    pub async fn writable(&self) -> Result<(), NoInput> {
        self.wait_until(Wait::Output).await
    }

    async fn wait_until(&self, what: Wait) -> Result<(), NoInput> {
        if !self.is_cut_off.get() {
            wait_for(&self.wait, what).await;
        }
        match (self.is_late.take(), self.is_cut_off.get()) {
            (true, _) => Err(NoInput::Timeout),
            (_, true) => Err(NoInput::Eof),
            _ => Ok(()),
        }
    }

    /// Reads the next piece of input. Fails when there will be none.
    async fn fill(&self, wait: Wait) -> Result<(), NoInput> {
        while !self.has_unread() {
            if let Some(why) = self.ended() {
                return Err(why);
            }
            if let Err(why) = self.wait_until(wait).await {
                self.end_in_vain(why);
            } else if !self.read() && wait == Wait::Request && self.is_last.get() {
                self.end(NoInput::Eof);
            }
        }
        Ok(())
    }

    /// Reads once. Returns false when there is nothing to read now.
    fn read(&self) -> bool {
        // What has come is copied: lists are short, and a client's buffer need not
        // be larger.
        let mut piece = [0; STREAM_BUFSIZE];
        match (&self.input).read(&mut piece) {
            Ok(0) => self.end(NoInput::Eof),
            Ok(count) => {
                let ReadBuf { data, unread, .. } = &mut *self.read_buf.borrow_mut();
                piece[..count].clone_into(data);
                *unread = 0..count;
            }
            Err(err) if is_temporary(&err) => return false,
            Err(err) => self.fail(&err),
        }
        true
    }

    /// Ends the input. The first reason stays.
    fn end(&self, why: NoInput) {
        self.ended.set(self.ended.get().or(Some(why)));
    }

    /// Ends the input because of an error, the first of which stays.
    fn fail(&self, err: &io::Error) {
        self.end(NoInput::Eof);
        self.error.set(self.error.get().or(err.raw_os_error()));
    }

    /// Ends input and output after a wait in vain.
    pub fn end_in_vain(&self, why: NoInput) {
        self.end(why);
        self.is_mute.set(true);
        if why == NoInput::Timeout {
            self.error.set(Some(libc::ETIMEDOUT));
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

/// Whether a system call failed only because it would have had to wait.
pub fn is_temporary(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::os::unix::net::UnixStream;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn pair() -> (UnixStream, Stream) {
        let (client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        (client, Stream::new(server.into(), "test socket".into()))
    }

    /// Runs it to its end; whenever it waits, `meanwhile` happens.
    fn finish<T>(future: impl Future<Output = T>, mut meanwhile: impl FnMut()) -> T {
        let mut future = pin!(future);
        loop {
            match future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(result) => return result,
                Poll::Pending => meanwhile(),
            }
        }
    }

    /// The next string, or what has come of it and why no more does.
    fn next(stream: &Stream, meanwhile: impl FnMut()) -> (Vec<u8>, Option<NoInput>) {
        let mut string = Vec::new();
        let result = finish(stream.get_string(&mut string), meanwhile);
        (string, result.err())
    }

    #[test]
    fn a_string_that_comes_in_pieces_is_returned_when_it_is_whole() {
        let (client, stream) = pair();
        let mut pieces = ["na", "", "me\0\0va"].iter();
        let name = next(&stream, || {
            let piece = pieces.next().unwrap();
            (&client).write_all(piece.as_bytes()).unwrap();
        });
        assert_eq!(name, (b"name".to_vec(), None));
        assert_eq!(pieces.len(), 0);
        assert_eq!(next(&stream, || unreachable!()), (b"".to_vec(), None));
        let mut client = Some(client);
        let end = next(&stream, || drop(client.take().unwrap()));
        assert_eq!(end, (b"va".to_vec(), Some(NoInput::Eof)));
    }

    #[test]
    fn printing_drops_what_was_read_ahead_and_nothing_else() {
        let (mut client, stream) = pair();
        client
            .write_all(&[b"a\0".repeat(STREAM_BUFSIZE / 2), b"b\0".to_vec()].concat())
            .unwrap();
        assert_eq!(next(&stream, || {}).0, b"a");
        assert!(stream.has_unread());
        stream.put_string(b"reply");
        finish(stream.fflush(), || unreachable!());
        assert_eq!(next(&stream, || {}).0, b"b");
        let mut reply = [0; 6];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"reply\0");
    }

    #[test]
    fn an_endless_string_ends_the_stream() {
        let (mut client, stream) = pair();
        let (string, why) = next(&stream, || client.write_all(&[b'x'; 1024]).unwrap());
        assert_eq!(why, Some(NoInput::TooLong));
        assert_eq!(string.len(), LIST_LIMIT + 1024);
        assert!(!finish(stream.next_request(), || unreachable!()));
    }

    #[test]
    fn after_a_wait_in_vain_for_input_nothing_is_said() {
        let (client, stream) = pair();
        let (_, why) = next(&stream, || stream.time_out());
        assert_eq!(why, Some(NoInput::Timeout));
        let errno = stream.error().unwrap().raw_os_error();
        assert_eq!(errno, Some(libc::ETIMEDOUT));
        stream.put_string(b"reply");
        finish(stream.fflush(), || unreachable!());
        drop(stream);
        assert_eq!((&client).read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn output_that_nobody_takes_ends_the_stream_when_time_is_over() {
        let (_client, stream) = pair();
        let reply = vec![b'x'; 10_000_000];
        stream.put_string(&reply);
        let mut waits = 0;
        finish(stream.fflush(), || {
            assert_eq!(stream.wait(), Wait::Output);
            waits += 1;
            if waits == 3 {
                stream.time_out();
            }
        });
        assert_eq!((waits, stream.ended()), (3, Some(NoInput::Timeout)));
    }

    #[test]
    fn when_it_is_cut_off_nothing_waits() {
        let (mut client, stream) = pair();
        client.write_all(b"name").unwrap();
        let (_, why) = next(&stream, || stream.cut_off());
        assert_eq!(why, Some(NoInput::Eof));
        assert_eq!(
            finish(stream.readable(), || unreachable!()),
            Err(NoInput::Eof)
        );
        finish(stream.turn(), || unreachable!());
    }

    #[test]
    fn the_last_request_is_the_one_that_is_there() {
        let (mut client, stream) = pair();
        client.write_all(b"a\0").unwrap();
        assert!(finish(stream.next_request(), || stream.begin_no_other()));
        assert_eq!(next(&stream, || unreachable!()).0, b"a");
        assert!(!finish(stream.next_request(), || unreachable!()));
        let (_client, stream) = pair();
        assert!(!finish(stream.next_request(), || stream.begin_no_other()));
    }
}
