//! `stream`: the connection to one client, and what is half read or written.
//!
//! What the original's `VSTREAM` is to a client, for descriptors that never
//! block. Input is read in pieces of at most [`STREAM_BUFSIZE`] bytes and only
//! when the piece before has been used up, so that printing a reply drops as
//! much unread input as in the original. At most one read is tried each time
//! the descriptor is found readable.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memchr::memchr;

use super::unix_send_fd::unix_send_bytes;

/// The most input that is read ahead, in bytes. The original's
/// `VSTREAM_BUFSIZE`.
pub const STREAM_BUFSIZE: usize = 4096;

/// How long a list may be, in bytes of names and values.
pub const LIST_LIMIT: usize = 65_536;

/// Why there is no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoInput {
    /// The client has closed its side, or is gone.
    Eof,
    /// The client took too long.
    Timeout,
    /// The list is longer than [`LIST_LIMIT`].
    TooLong,
}

/// What a look at the input says.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<T> {
    /// Here it is.
    Ready(T),
    /// Not yet: wait until the descriptor is readable.
    Wait,
    /// There will not be any more.
    None(NoInput),
}

/// Room for what is read and written, lent to the stream that is served now:
/// the next one finds it in the processor's cache, and idle ones need none.
#[derive(Debug, Default)]
pub struct Room {
    read_buf: Box<[u8]>,
    write_buf: Vec<u8>,
}

/// A connection with its buffers.
#[derive(Debug)]
pub struct Stream {
    input: File,
    output: Option<File>,
    path: String,
    read_buf: Box<[u8]>,
    unread: Range<usize>,
    strings: Vec<u8>,
    partial: usize,
    /// How much of a list has come.
    list_len: usize,
    write_buf: Vec<u8>,
    written: usize,
    readable: bool,
    ended: Option<NoInput>,
    error: Option<io::Error>,
    mute: bool,
}

impl Stream {
    /// A stream over a socket; `path` names it in messages.
    pub fn new(socket: OwnedFd, path: String) -> Stream {
        Stream {
            input: File::from(socket),
            output: None,
            path,
            read_buf: Box::default(),
            unread: 0..0,
            strings: Vec::new(),
            partial: 0,
            list_len: 0,
            write_buf: Vec::new(),
            written: 0,
            readable: false,
            ended: None,
            error: None,
            mute: false,
        }
    }

    /// A stream that reads here and writes there.
    pub fn with_output(input: OwnedFd, output: OwnedFd, path: String) -> Stream {
        Stream {
            output: Some(File::from(output)),
            ..Stream::new(input, path)
        }
    }

    /// Borrows room, as far as the stream has none of its own.
    pub fn borrow_room(&mut self, room: &mut Room) {
        if self.read_buf.is_empty() {
            self.read_buf = std::mem::take(&mut room.read_buf);
        }
        if self.write_buf.capacity() == 0 {
            self.write_buf = std::mem::take(&mut room.write_buf);
        }
    }

    /// Returns the room in which nothing is left.
    pub fn return_room(&mut self, room: &mut Room) {
        if self.unread.is_empty() && !self.read_buf.is_empty() {
            self.unread = 0..0;
            room.read_buf = std::mem::take(&mut self.read_buf);
        }
        if self.write_buf.is_empty() && self.write_buf.capacity() > 0 {
            room.write_buf = std::mem::take(&mut self.write_buf);
        }
    }

    /// What it is called in messages. The original's `VSTREAM_PATH`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Notes that the descriptor was found readable: one read may be tried.
    pub fn set_readable(&mut self) {
        self.readable = true;
    }

    /// Whether a read may be tried; asking uses it up.
    pub fn take_readable(&mut self) -> bool {
        std::mem::take(&mut self.readable)
    }

    /// Ends the input.
    pub fn end(&mut self, why: NoInput) {
        self.ended.get_or_insert(why);
    }

    /// Ends input and output: the client was too slow.
    pub fn time_out(&mut self) {
        self.end(NoInput::Timeout);
        self.error = Some(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        self.mute = true;
    }

    /// Why the input has ended, if it has.
    pub fn ended(&self) -> Option<NoInput> {
        self.ended
    }

    /// The error that ended the connection, if it was one.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Whether input that was read is still to be looked at. The original's
    /// `vstream_peek() > 0`.
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Looks whether there is a byte to come, without taking it.
    pub fn peek(&mut self) -> Input<()> {
        if self.unread.is_empty() {
            if let Some(why) = self.ended {
                return Input::None(why);
            }
            self.fill();
        }
        match self.ended {
            _ if self.has_unread() => Input::Ready(()),
            Some(why) => Input::None(why),
            None => Input::Wait,
        }
    }

    /// Takes the next NUL-terminated string; [`Stream::string`] shows it.
    pub fn get_string(&mut self) -> Input<Range<usize>> {
        loop {
            let unread = &self.read_buf[self.unread.clone()];
            let end = memchr(0, unread);
            let text = &unread[..end.unwrap_or(unread.len())];
            self.list_len += text.len();
            self.strings.extend_from_slice(text);
            if self.list_len > LIST_LIMIT {
                self.end(NoInput::TooLong);
                self.unread = 0..0;
                return Input::None(NoInput::TooLong);
            }
            self.partial += text.len();
            if let Some(end) = end {
                self.unread.start += end + 1;
                let len = std::mem::take(&mut self.partial);
                return Input::Ready(self.strings.len() - len..self.strings.len());
            }
            self.unread = 0..0;
            match self.peek() {
                Input::Ready(()) => {}
                Input::Wait => return Input::Wait,
                Input::None(why) => return Input::None(why),
            }
        }
    }

    /// Takes the next string if it is this one and all of it has been read;
    /// else [`Stream::get_string`] says what it is.
    pub fn skip_string(&mut self, text: &[u8]) -> bool {
        let unread = &self.read_buf[self.unread.clone()];
        let rest = unread.strip_prefix(text);
        let is_next = self.partial == 0 && rest.is_some_and(|rest| rest.first() == Some(&0));
        if is_next {
            self.unread.start += text.len() + 1;
            self.list_len += text.len();
        }
        is_next
    }

    /// The bytes of a string that [`Stream::get_string`] returned.
    pub fn string(&self, range: &Range<usize>) -> &[u8] {
        &self.strings[range.clone()]
    }

    /// What of a string had come when the input ended.
    pub fn partial(&self) -> &[u8] {
        &self.strings[self.strings.len() - self.partial..]
    }

    /// The next string begins another list.
    pub fn end_list(&mut self) {
        self.list_len = 0;
    }

    /// Forgets the strings that were returned so far.
    pub fn forget_strings(&mut self) {
        if self.strings.capacity() > STREAM_BUFSIZE {
            self.strings = Vec::new();
        }
        self.strings.clear();
        self.partial = 0;
    }

    /// Turns from reading to writing, which drops the input that was read but
    /// not used, unless output goes elsewhere.
    pub fn put_string(&mut self, text: &[u8]) {
        if self.output.is_none() {
            self.unread = 0..0;
        }
        if !self.mute {
            self.write_buf.extend_from_slice(text);
            self.write_buf.push(0);
        }
    }

    /// Writes what was put, as far as it goes. The original's
    /// `vstream_fflush()`. A write that fails ends input and output: it shows
    /// when the next input is asked for, and [`Stream::error`] says why.
    pub fn fflush(&mut self) {
        if self.write_buf.is_empty() {
            return;
        }
        while !self.mute && self.has_unwritten() {
            let rest = &self.write_buf[self.written..];
            let count = match &self.output {
                None => unix_send_bytes(self.input.as_fd(), rest),
                Some(output) => (&*output).write(rest),
            };
            match count {
                Ok(count) => self.written += count,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    self.fail(err);
                    self.mute = true;
                }
            }
        }
        self.written = 0;
        if self.write_buf.capacity() > STREAM_BUFSIZE {
            self.write_buf = Vec::new();
        }
        self.write_buf.clear();
    }

    /// The descriptor that is to be writable before the client gets more.
    pub fn output(&self) -> BorrowedFd<'_> {
        match &self.output {
            Some(output) if self.has_unwritten() => output.as_fd(),
            _ => self.input.as_fd(),
        }
    }

    /// Whether output is waiting for the client to take it.
    pub fn has_unwritten(&self) -> bool {
        self.written < self.write_buf.len()
    }

    fn fill(&mut self) {
        if !self.take_readable() {
            return;
        }
        if self.read_buf.is_empty() {
            self.read_buf = vec![0; STREAM_BUFSIZE].into();
        }
        match (&self.input).read(&mut self.read_buf) {
            Ok(0) => self.end(NoInput::Eof),
            Ok(count) => self.unread = 0..count,
            Err(err) if is_temporary(&err) => {}
            Err(err) => self.fail(err),
        }
    }

    /// Ends the input for a reason, the first of which stays.
    fn fail(&mut self, err: io::Error) {
        self.end(NoInput::Eof);
        self.error.get_or_insert(err);
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
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, Stream) {
        let (client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        (client, Stream::new(server.into(), "test socket".into()))
    }

    fn next(stream: &mut Stream) -> Input<Vec<u8>> {
        stream.set_readable();
        match stream.get_string() {
            Input::Ready(range) => Input::Ready(stream.string(&range).to_vec()),
            Input::Wait => Input::Wait,
            Input::None(why) => Input::None(why),
        }
    }

    #[test]
    fn a_string_that_comes_in_pieces_is_returned_when_it_is_whole() {
        let (mut client, mut stream) = pair();
        client.write_all(b"na").unwrap();
        assert_eq!(next(&mut stream), Input::Wait);
        assert_eq!(next(&mut stream), Input::Wait);
        client.write_all(b"me\0\0va").unwrap();
        assert_eq!(next(&mut stream), Input::Ready(b"name".to_vec()));
        assert_eq!(next(&mut stream), Input::Ready(b"".to_vec()));
        assert_eq!(next(&mut stream), Input::Wait);
        drop(client);
        assert_eq!(next(&mut stream), Input::None(NoInput::Eof));
        assert_eq!(stream.partial(), b"va");
    }

    #[test]
    fn printing_drops_what_was_read_ahead_and_nothing_else() {
        let (mut client, mut stream) = pair();
        client
            .write_all(&[b"a\0".repeat(STREAM_BUFSIZE / 2), b"b\0".to_vec()].concat())
            .unwrap();
        assert_eq!(next(&mut stream), Input::Ready(b"a".to_vec()));
        assert!(stream.has_unread());
        stream.put_string(b"reply");
        stream.fflush();
        assert_eq!(next(&mut stream), Input::Ready(b"b".to_vec()));
        let mut reply = [0; 6];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"reply\0");
    }

    #[test]
    fn an_endless_string_ends_the_stream() {
        let (mut client, mut stream) = pair();
        loop {
            client.write_all(&[b'x'; 1024]).unwrap();
            match next(&mut stream) {
                Input::Wait => {}
                end => break assert_eq!(end, Input::None(NoInput::TooLong)),
            }
        }
        assert_eq!(stream.strings.len(), LIST_LIMIT + 1024);
        assert_eq!(next(&mut stream), Input::None(NoInput::TooLong));
    }

    #[test]
    fn room_is_lent_to_who_needs_it_and_comes_back_when_nothing_is_left_in_it() {
        let (mut client, mut stream) = pair();
        let mut room = Room {
            read_buf: vec![0; STREAM_BUFSIZE].into(),
            write_buf: Vec::with_capacity(100),
        };
        let lent = |room: &Room| (room.read_buf.is_empty(), room.write_buf.capacity() == 0);
        client.write_all(b"a\0b\0").unwrap();
        stream.borrow_room(&mut room);
        assert_eq!(lent(&room), (true, true));
        assert_eq!(next(&mut stream), Input::Ready(b"a".to_vec()));
        stream.return_room(&mut room);
        assert_eq!(lent(&room), (true, false), "some is unread");
        assert_eq!(next(&mut stream), Input::Ready(b"b".to_vec()));
        stream.borrow_room(&mut room);
        stream.put_string(b"reply");
        stream.return_room(&mut room);
        assert_eq!(lent(&room), (false, true), "some is unwritten");
        stream.fflush();
        // What is returned without having been borrowed leaves the rest alone.
        stream.return_room(&mut room);
        assert_eq!(lent(&room), (false, false));
        stream.return_room(&mut room);
        assert_eq!(lent(&room), (false, false));
    }

    #[test]
    fn memory_for_much_is_not_kept() {
        let (client, mut stream) = pair();
        let reader = std::thread::spawn(move || io::copy(&mut &client, &mut io::sink()));
        for (size, is_kept) in [(STREAM_BUFSIZE, true), (STREAM_BUFSIZE + 1, false)] {
            stream.strings.reserve_exact(size);
            stream.forget_strings();
            assert_eq!(stream.strings.capacity() > 0, is_kept, "{size} for strings");
            stream.write_buf.reserve_exact(size);
            stream.put_string(b"reply");
            stream.fflush();
            assert_eq!(stream.write_buf.capacity() > 0, is_kept, "{size} to write");
        }
        drop(stream);
        assert_eq!(reader.join().unwrap().unwrap(), 12);
    }

    #[test]
    fn the_expected_string_is_skipped_when_all_of_it_is_there() {
        let (mut client, mut stream) = pair();
        client.write_all(b"name\0names\0na").unwrap();
        stream.set_readable();
        assert_eq!(stream.peek(), Input::Ready(()));
        assert!(!stream.skip_string(b"nam"));
        assert!(stream.skip_string(b"name"));
        assert!(!stream.skip_string(b"name"));
        assert_eq!(next(&mut stream), Input::Ready(b"names".to_vec()));
        assert!(!stream.skip_string(b"name"));
        assert_eq!(next(&mut stream), Input::Wait);
        client.write_all(b"me\0").unwrap();
        stream.set_readable();
        assert_eq!(stream.peek(), Input::Ready(()));
        assert!(!stream.skip_string(b"me"), "this is the end of another");
        assert_eq!(next(&mut stream), Input::Ready(b"name".to_vec()));
    }

    #[test]
    fn what_is_waited_for_is_the_output_while_something_is_unwritten() {
        let ((input, _), (output, _)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let fds = [&input, &output].map(|socket| socket.as_raw_fd());
        let mut stream = Stream::with_output(input.into(), output.into(), "both".into());
        assert_eq!(stream.output().as_raw_fd(), fds[0]);
        stream.put_string(b"reply");
        assert_eq!(stream.output().as_raw_fd(), fds[1]);
    }
}
