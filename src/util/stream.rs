//! `stream`: the connection to one client, with its buffers.
//!
//! The original's `VSTREAM`. Where the C program blocks, a function of this module waits
//! (see [`wait`](super::wait)); the descriptors are non-blocking. Input is read in
//! pieces of at most [`STREAM_BUFSIZE`] bytes, and only when the previous piece has
//! been used up, so that printing a reply drops as much unread input as in the C
//! program. Errors and timeouts end the input: see [`NoInput`].
//!
//! A stream is shared by a request and the event loop. The loop watches for the event
//! that the request waits for, and makes the wait fail if the client takes too long.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use memchr::memchr;

use super::wait::{wait_for, Wait};

/// Size of the read buffer, in bytes. The original's `VSTREAM_BUFSIZE`.
pub const STREAM_BUFSIZE: usize = 4096;

/// Maximum length of the lists of a request, in bytes of names and values.
pub const LIST_LIMIT: usize = 65_536;

/// A buffer that all streams read into, one after the other. So the buffer of a stream
/// need not be larger than its unread input, and most clients send little.
#[derive(Clone, Debug)]
pub struct ReadSpace(Rc<RefCell<[u8; STREAM_BUFSIZE]>>);

impl Default for ReadSpace {
    fn default() -> Self {
        ReadSpace(Rc::new(RefCell::new([0; STREAM_BUFSIZE])))
    }
}

/// The reason for the end of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoInput {
    /// The client has closed its side, or the process ends.
    Eof,
    /// The client took too long.
    Timeout,
    /// The lists of the request are longer than [`LIST_LIMIT`].
    TooLong,
}

/// A connection with its buffers.
#[derive(Debug)]
pub struct Stream {
    input: File,
    output: Option<File>,
    path: Rc<str>,
    wait: Cell<Wait>,
    /// True if the current wait has to fail.
    is_timed_out: Cell<bool>,
    /// True if no further request may begin.
    is_last_request: Cell<bool>,
    /// True if all waits have to fail.
    is_cut_off: Cell<bool>,
    input_end: Cell<Option<NoInput>>,
    /// The errno that ended the connection.
    error: Cell<Option<i32>>,
    /// True if output is discarded.
    output_ended: Cell<bool>,
    read_space: ReadSpace,
    read_buf: RefCell<ReadBuf>,
    write_buf: RefCell<WriteBuf>,
}

#[derive(Debug, Default)]
struct ReadBuf {
    data: Vec<u8>,
    unread: Range<usize>,
    /// Number of bytes of names and values in the current request.
    list_len: usize,
}

#[derive(Debug, Default)]
struct WriteBuf {
    data: Vec<u8>,
    written: usize,
}

impl Stream {
    /// A stream over a socket; messages call it `path`.
    /// The original's `vstream_fdopen()`.
    pub fn new(socket: OwnedFd, path: Rc<str>, read_space: ReadSpace) -> Stream {
        Stream {
            input: File::from(socket),
            output: None,
            path,
            wait: Cell::new(Wait::Yield),
            is_timed_out: Cell::new(false),
            is_last_request: Cell::new(false),
            is_cut_off: Cell::new(false),
            input_end: Cell::new(None),
            error: Cell::new(None),
            output_ended: Cell::new(false),
            read_space,
            read_buf: RefCell::default(),
            write_buf: RefCell::default(),
        }
    }

    /// A stream that reads from one descriptor and writes to another.
    pub fn with_output(input: OwnedFd, output: OwnedFd, path: Rc<str>) -> Stream {
        Stream {
            output: Some(File::from(output)),
            ..Stream::new(input, path, ReadSpace::default())
        }
    }

    /// The name of the connection in messages. The original's `VSTREAM_PATH`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The event that the client's task waits for.
    pub fn wait(&self) -> Wait {
        self.wait.get()
    }

    /// The descriptor that output goes to.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    /// Makes the current wait fail: the client took too long.
    pub fn time_out(&self) {
        self.is_timed_out.set(true);
    }

    /// Makes the current request, or the one that has begun to arrive, the last.
    pub fn set_last_request(&self) {
        self.is_last_request.set(true);
    }

    /// Makes all waits fail, the current one included, and drops the unread input.
    pub fn cut_off(&self) {
        self.is_cut_off.set(true);
        self.read_buf.borrow_mut().unread = 0..0;
    }

    /// The reason for the end of input. None if it has not ended.
    pub fn input_end(&self) -> Option<NoInput> {
        self.input_end.get()
    }

    /// The error that ended the connection. None if there was no error.
    pub fn error(&self) -> Option<io::Error> {
        self.error.get().map(io::Error::from_raw_os_error)
    }

    /// Waits for the next request, without a time limit. Returns false if there
    /// will be none.
    pub async fn next_request(&self) -> bool {
        let is_open = self.input_end().is_none() && !self.is_last_request.get();
        is_open && self.fill(Wait::Request).await.is_ok()
    }

    /// Waits until there is unread input, without taking it. Returns false if
    /// there will be none.
    pub async fn peek(&self) -> bool {
        self.has_unread() || self.fill(Wait::Input).await.is_ok()
    }

    /// Returns true if the buffer has unread input.
    /// The original's `vstream_peek()`: does not count the bytes.
    pub fn has_unread(&self) -> bool {
        !self.read_buf.borrow().unread.is_empty()
    }

    /// Takes the next NUL-terminated string. Fails if the input ends before the
    /// NUL; `string` then has the bytes before the end.
    pub async fn get_string(&self, string: &mut Vec<u8>) -> Result<(), NoInput> {
        string.clear();
        while !self.take_string(string)? {
            self.fill(Wait::Input).await?;
        }
        Ok(())
    }

    /// Takes the buffered part of a string. Returns true at its end.
    fn take_string(&self, string: &mut Vec<u8>) -> Result<bool, NoInput> {
        let buf = &mut *self.read_buf.borrow_mut();
        let unread = &buf.data[buf.unread.clone()];
        let end = memchr(0, unread);
        let text = &unread[..end.unwrap_or(unread.len())];
        string.extend_from_slice(text);
        buf.list_len += text.len();
        buf.unread.start += end.map_or(text.len(), |end| end + 1);
        if buf.list_len > LIST_LIMIT {
            self.end_input(NoInput::TooLong);
            buf.unread = 0..0;
            return Err(NoInput::TooLong);
        }
        Ok(end.is_some())
    }

    /// Ends a request: the next string belongs to another, and counts from zero again
    /// towards [`LIST_LIMIT`].
    pub fn end_request(&self) {
        self.read_buf.borrow_mut().list_len = 0;
    }

    /// Puts a string and a NUL into the write buffer. Drops the unread input in
    /// the read buffer, unless output goes to another descriptor.
    pub fn put_string(&self, text: &[u8]) {
        if self.output.is_none() {
            self.read_buf.borrow_mut().unread = 0..0;
        }
        if !self.output_ended.get() {
            let buf = &mut self.write_buf.borrow_mut().data;
            buf.extend_from_slice(text);
            buf.push(0);
        }
    }

    /// Writes the buffer. The original's `vstream_fflush()`. A write that fails or
    /// takes too long ends input and output: the next read fails, and
    /// [`Stream::error`] has the reason.
    pub async fn fflush(&self) {
        while !self.write() {
            if let Err(why) = self.writable().await {
                self.end_both(why);
            }
        }
    }

    /// Writes until the buffer is empty or the descriptor would block. Returns
    /// false if bytes are left. The original's `vstream_fflush_some()`: does not wait.
    fn write(&self) -> bool {
        let WriteBuf { data, written } = &mut *self.write_buf.borrow_mut();
        while !self.output_ended.get() && *written < data.len() {
            let mut output = self.output.as_ref().unwrap_or(&self.input);
            match output.write(&data[*written..]) {
                Ok(count) => *written += count,
                Err(err) if is_temporary(&err) => return false,
                Err(err) => {
                    self.fail(&err);
                    self.output_ended.set(true);
                }
            }
        }
        data.clear();
        *written = 0;
        true
    }

    /// Yields to other clients.
    pub async fn yield_now(&self) {
        // Not an error if cut off: the request goes on without yielding.
        let _ = self.wait_for(Wait::Yield).await;
    }

    /// Waits for input at the descriptor. Fails if the client takes too long.
    pub async fn readable(&self) -> Result<(), NoInput> {
        self.wait_for(Wait::Input).await
    }

    /// Waits for space for output. Fails if the client takes too long.
    pub async fn writable(&self) -> Result<(), NoInput> {
        self.wait_for(Wait::Output).await
    }

    async fn wait_for(&self, event: Wait) -> Result<(), NoInput> {
        if !self.is_cut_off.get() {
            wait_for(&self.wait, event).await;
        }
        match (self.is_timed_out.take(), self.is_cut_off.get()) {
            (true, _) => Err(NoInput::Timeout),
            (_, true) => Err(NoInput::Eof),
            _ => Ok(()),
        }
    }

    /// Fills the empty read buffer. Fails if there will be no more input.
    /// The original's `vstream_buf_get_ready()`.
    async fn fill(&self, wait: Wait) -> Result<(), NoInput> {
        while !self.has_unread() {
            if let Some(why) = self.input_end() {
                return Err(why);
            }
            if let Err(why) = self.wait_for(wait).await {
                self.end_both(why);
            } else if !self.read() && wait == Wait::Request && self.is_last_request.get() {
                self.end_input(NoInput::Eof);
            }
        }
        Ok(())
    }

    /// Reads once. Returns false if it would block.
    fn read(&self) -> bool {
        let space = &mut *self.read_space.0.borrow_mut();
        match (&self.input).read(space) {
            Ok(0) => self.end_input(NoInput::Eof),
            Ok(count) => {
                let ReadBuf { data, unread, .. } = &mut *self.read_buf.borrow_mut();
                space[..count].clone_into(data);
                *unread = 0..count;
            }
            Err(err) if is_temporary(&err) => return false,
            Err(err) => self.fail(&err),
        }
        true
    }

    /// Ends the input. The first reason is kept.
    fn end_input(&self, why: NoInput) {
        self.input_end.set(self.input_end.get().or(Some(why)));
    }

    /// Ends the input with an error. The first error is kept.
    fn fail(&self, err: &io::Error) {
        self.end_input(NoInput::Eof);
        self.error.set(self.error.get().or(err.raw_os_error()));
    }

    /// Ends input and output after a wait that failed.
    pub fn end_both(&self, why: NoInput) {
        self.end_input(why);
        self.output_ended.set(true);
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

/// Returns true if a system call failed only because it would have blocked, or
/// was interrupted.
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
        (
            client,
            Stream::new(server.into(), "test socket".into(), ReadSpace::default()),
        )
    }

    /// Runs a future to its end, and calls `meanwhile` each time it waits.
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

    /// The next string, or the part of it before the end of input and the reason for
    /// that end.
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
        let end = next(&stream, || drop(client.take()));
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
    fn after_a_timeout_for_input_no_reply_is_written() {
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
    fn a_client_that_reads_no_output_in_time_ends_the_stream() {
        let (_client, stream) = pair();
        while (&stream.input).write(&[b'x'; 4096]).is_ok() {}
        stream.put_string(b"reply");
        let mut waits = 0;
        finish(stream.fflush(), || {
            assert_eq!(stream.wait(), Wait::Output);
            waits += 1;
            if waits == 3 {
                stream.time_out();
            }
        });
        assert_eq!((waits, stream.input_end()), (3, Some(NoInput::Timeout)));
    }

    #[test]
    fn a_stream_that_is_cut_off_does_not_wait() {
        let (mut client, stream) = pair();
        client.write_all(b"name").unwrap();
        let (_, why) = next(&stream, || stream.cut_off());
        assert_eq!(why, Some(NoInput::Eof));
        assert_eq!(
            finish(stream.readable(), || unreachable!()),
            Err(NoInput::Eof)
        );
        finish(stream.yield_now(), || unreachable!());
    }

    #[test]
    fn the_last_request_is_the_one_that_is_there() {
        let (mut client, stream) = pair();
        client.write_all(b"a\0").unwrap();
        assert!(finish(stream.next_request(), || stream.set_last_request()));
        assert_eq!(next(&stream, || unreachable!()).0, b"a");
        assert!(!finish(stream.next_request(), || unreachable!()));
        let (_client, stream) = pair();
        assert!(!finish(stream.next_request(), || stream.set_last_request()));
    }

    /// Otherwise clients that have sent many requests would delay the end of the process.
    /// (A client that waits in the middle of a request has an empty buffer.)
    #[test]
    fn a_stream_that_is_cut_off_has_no_other_request() {
        let (mut client, stream) = pair();
        client.write_all(b"a\0b\0").unwrap();
        assert_eq!(next(&stream, || {}).0, b"a");
        stream.cut_off();
        assert!(!stream.has_unread());
    }
}
