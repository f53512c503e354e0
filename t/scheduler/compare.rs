//! What is compared after a step, for [`run`](super).

use super::*;

/// Number of looks in a row after which a daemon that sleeps will not do anything: all
/// that was sent to it wakes it.
const LOOKS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes as the trace shows them.
pub(super) fn shown(bytes: &[u8]) -> String {
    shorten(&bytes.escape_ascii().to_string())
}

fn same<T: PartialEq + Debug>(what: &str, got: &T, wanted: &T) -> Result<()> {
    match got == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {got:#?}, expected {wanted:#?}").into()),
    }
}

impl Run {
    /// Compares everything.
    pub(super) fn compare(&mut self) -> Result<()> {
        self.quiet()?;
        self.read_log()?;
        // (The daemon may not sleep yet, after its answer to the observer.)
        self.quiet()?;
        self.compare_received()?;
        self.compare_log()?;
        let (got, wanted) = (self.descriptors()?.len(), self.service.open_files());
        same("descriptors of the daemon", &got, &wanted)
    }

    /// Waits until the daemon sleeps and has read what it should have read.
    pub(super) fn quiet(&self) -> Result<()> {
        let is_unread = |client: &Client| match &client.connection {
            Some((number, stream)) => {
                self.service.has_read(*number)
                    && sys::unread_by_peer(stream.as_fd()).unwrap_or(0) > 0
            }
            None => false,
        };
        let (start, mut asleep) = (Instant::now(), 0);
        loop {
            let unread = self.clients.iter().position(is_unread);
            let state = self.daemon().status_field("State")?;
            match (state.starts_with('S'), unread) {
                (true, None) => return Ok(()),
                (true, Some(_)) => asleep += 1,
                (false, _) => asleep = 0,
            }
            if state.starts_with('Z') {
                return Err("the daemon has ended by itself".into());
            }
            if start.elapsed() > PATIENCE || asleep == LOOKS {
                return Err(format!("unread: client {unread:?}; the daemon is {state}").into());
            }
            let long = if asleep < 10 { PAUSE / 250 } else { PAUSE };
            std::thread::sleep(long);
        }
    }

    /// Reads the log up to a line that the observer causes. Its request is answered at
    /// once, whatever others do.
    pub(super) fn read_log(&mut self) -> Result<()> {
        self.observations += 1;
        let mark = format!("observation{}", self.observations);
        let (_, stream) = self.observer.as_mut().expect("connected");
        stream.write_all(&list(&format!("request={mark} .")))?;
        self.observe("status=1 .")?;
        let end = self.daemon().wait_for_log_from(self.log_from, &mark);
        let end = end.ok_or("not logged: unrecognized request")?;
        let lines = self.daemon().log();
        self.log.extend_from_slice(&lines[self.log_from..end - 1]);
        self.log_from = end;
        Ok(())
    }

    /// Receives an answer to the observer.
    pub(super) fn observe(&mut self, wanted: &str) -> Result<()> {
        let (number, stream) = self.observer.as_ref().expect("connected");
        self.service.receive(*number);
        let (start, mut asleep) = (Instant::now(), 0);
        while !sys::readable(stream.as_fd(), Instant::now() + PAUSE)? {
            let state = self.daemon().status_field("State")?;
            asleep = if state.starts_with('S') {
                asleep + 1
            } else {
                0
            };
            if start.elapsed() > PATIENCE || asleep == LOOKS {
                return Err("another client waits in vain for an answer".into());
            }
        }
        let mut buffer = [0; 100];
        let (count, _) = sys::receive_with_fds(stream.as_fd(), &mut buffer)?;
        same(
            "the observer got",
            &shown(&buffer[..count]),
            &shown(&list(wanted)),
        )
    }

    /// Compares what has come for clients that read, and what servers see.
    pub(super) fn compare_received(&mut self) -> Result<()> {
        let mut notes = Vec::new();
        for (who, client) in self.clients.iter_mut().enumerate() {
            let number = match &client.connection {
                Some((number, stream)) if client.reads => {
                    client.incoming.read(stream)?;
                    *number
                }
                _ => continue,
            };
            let (bytes, ids) = self.service.receive(number);
            let came = &mut client.incoming;
            let (got, fds) = (
                std::mem::take(&mut came.bytes),
                std::mem::take(&mut came.fds),
            );
            same(&format!("client {who} got"), &shown(&got), &shown(&bytes))?;
            let which = |fd: &OwnedFd| {
                let identity = sys::identity_of(fd);
                let mut sessions = self.sessions.iter();
                sessions.position(|session| session.identity == identity)
            };
            let got: Vec<Option<Id>> = fds.iter().map(which).collect();
            let wanted = ids.iter().copied().map(Some).collect();
            same(&format!("client {who} got sessions"), &got, &wanted)?;
            if !bytes.is_empty() {
                let text = shown(&bytes);
                notes.push(format!("client {who} gets \"{text}\" and sessions {ids:?}"));
            }
            client.has.extend(ids.into_iter().zip(fds));
            let ended = self.service.life(number) == Life::Over;
            same(
                &format!("client {who} is disconnected"),
                &client.incoming.ended,
                &ended,
            )?;
            if ended {
                client.connection = None;
                notes.push(format!("client {who} is disconnected"));
            }
        }
        notes.iter().for_each(|text| self.note(text));
        self.compare_sessions()
    }

    /// Each session is somewhere, or closed, and its server has heard what it should.
    fn compare_sessions(&self) -> Result<()> {
        for (id, session) in self.sessions.iter().enumerate() {
            let Some(server) = &session.server else {
                continue;
            };
            let told = if self.service.told.contains(&id) {
                "QUIT\r\n"
            } else {
                ""
            };
            let (heard, wanted) = (sys::peek(server.as_fd())?, [SAID, told.as_bytes()].concat());
            same(
                &format!("the server of session {id} has heard"),
                &shown(&heard),
                &shown(&wanted),
            )?;
            let mut found = self.clients.iter().flat_map(|client| &client.has);
            let is_open = found.any(|(other, _)| *other == id) || self.service.holds(id);
            let got = !sys::has_hung_up(server.as_fd())?;
            same(&format!("session {id} is open"), &got, &is_open)?;
        }
        Ok(())
    }

    /// The lines of a step may be in any order.
    pub(super) fn compare_log(&mut self) -> Result<()> {
        const START: &str = "statistics: start interval";
        let text = |line: String| match line.split_once(": ").unwrap_or_default().1 {
            line if line.starts_with(START) => START.to_string(),
            line => shorten(line),
        };
        let mut got: Vec<String> = self.log.drain(..).map(text).collect();
        let wanted = self.service.take_log();
        let mut wanted: Vec<String> = wanted.iter().map(|line| shorten(line)).collect();
        wanted.sort();
        got.sort();
        for line in &got {
            self.note(&format!("logged: {line}"));
        }
        same("logged", &got, &wanted)
    }
}
