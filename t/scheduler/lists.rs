//! Attribute lists as the service reads them, for [`service`](super::service): naively,
//! all bytes since the begin of a request again each time more have come.

/// Maximum number of bytes of names and values.
const LIMIT: usize = 65_536;

const PATH: &str = "scache socket";

/// The reason for the end of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Eof,
    Timeout,
    TooLong,
}

/// More bytes are needed, or the list is incomplete, too long or a wrong one.
#[derive(PartialEq, Eq)]
enum Stop {
    More,
    Bad,
}

/// A list, or a request of two, that is complete or bad.
#[derive(Default)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    end: Option<End>,
    /// Bytes of names and values.
    length: usize,
    /// Number of bytes that were used.
    pub used: usize,
    pub warnings: Vec<String>,
    pub is_too_long: bool,
    /// The values. None if the list is bad.
    pub values: Option<Vec<String>>,
    /// The reply to a bad request, empty if it gets none.
    pub refusal: &'static str,
}

/// Reads a request. None if more bytes are needed.
pub fn scan_request(bytes: &[u8], end: Option<End>) -> Option<Scan<'_>> {
    Scan::of(bytes, end, Scan::request)
}

/// Reads a handshake. None if more bytes are needed.
pub fn scan_dummy(bytes: &[u8], end: Option<End>) -> Option<Scan<'_>> {
    Scan::of(bytes, end, |scan| scan.list(&["dummy"], true))
}

impl<'a> Scan<'a> {
    fn of(
        bytes: &'a [u8],
        end: Option<End>,
        read: impl Fn(&mut Scan<'a>) -> Result<Vec<String>, Stop>,
    ) -> Option<Scan<'a>> {
        let mut scan = Scan {
            bytes,
            end,
            ..Scan::default()
        };
        let result = read(&mut scan);
        if result.as_ref().is_err_and(|stop| *stop == Stop::More) {
            return None;
        }
        scan.values = result.ok();
        Some(scan)
    }

    /// The name of a request and its values.
    fn request(&mut self) -> Result<Vec<String>, Stop> {
        let mut words = self.list(&["request"], false)?;
        let wanted: &[&str] = match &words[0][..] {
            "save_endp" => &["ttl", "label", "property"],
            "save_dest" => &["ttl", "label", "property", "label"],
            "find_endp" | "find_dest" => &["label"],
            other => {
                self.warnings
                    .push(format!("unrecognized request: \"{other}\", ignored"));
                self.refusal = "status=1 .";
                return Err(Stop::Bad);
            }
        };
        let result = self.list(wanted, true);
        let has_no_time = |values: &Vec<String>| {
            wanted[0] == "ttl" && !values[0].parse().is_ok_and(|ttl: i32| ttl > 0)
        };
        match result {
            Err(Stop::More) => return Err(Stop::More),
            Ok(values) if !has_no_time(&values) => words.extend(values),
            _ => {
                let text = format!(
                    "scache_{}_service: bad or missing request parameter",
                    words[0]
                );
                self.warnings.push(text);
                self.refusal = match &words[0][..] {
                    "find_endp" => "status=1 property= .",
                    "find_dest" => "status=1 property= property= .",
                    _ => "status=1 .",
                };
                return Err(Stop::Bad);
            }
        }
        Ok(words)
    }

    /// The values of a list with these attributes, which is read up to its terminator
    /// if it is `whole`.
    fn list(&mut self, wanted: &[&str], whole: bool) -> Result<Vec<String>, Stop> {
        if self.used == self.bytes.len() {
            return Err(self.end.map_or(Stop::More, |_| Stop::Bad));
        }
        let mut values = Vec::new();
        for &name in wanted {
            let found = self.string("name")?;
            if found.is_empty() {
                self.warnings
                    .push(format!("missing attribute {name} in input from {PATH}"));
                return Err(Stop::Bad);
            }
            if found != name {
                self.unexpected(&found, name);
                return Err(Stop::Bad);
            }
            let value = self.string("value")?;
            if name == "ttl" && value.parse::<i32>().is_err() {
                self.warnings.push(format!(
                    "malformed numerical data from {PATH} while reading input attribute value: {value}"
                ));
                return Err(Stop::Bad);
            }
            values.push(value);
        }
        if whole {
            let found = self.string("name")?;
            if !found.is_empty() {
                self.unexpected(&found, "(list terminator)");
            }
        }
        Ok(values)
    }

    fn unexpected(&mut self, found: &str, wanted: &str) {
        let text = format!("unexpected attribute {found} from {PATH} (expecting: {wanted})");
        self.warnings.push(text);
    }

    /// The next string, as it is logged. (Names that are looked up are printable.)
    fn string(&mut self, what: &str) -> Result<String, Stop> {
        let rest = &self.bytes[self.used..];
        let zero = rest.iter().position(|&byte| byte == 0);
        let text = &rest[..zero.unwrap_or(rest.len())];
        self.length += text.len();
        self.is_too_long = self.length > LIMIT;
        let how = match (zero, self.end) {
            _ if self.is_too_long => "list too long from",
            (Some(_), _) => {
                self.used += text.len() + 1;
                let shown = |&byte: &u8| {
                    if (b' '..=b'~').contains(&byte) {
                        byte.into()
                    } else {
                        '?'
                    }
                };
                return Ok(text.iter().map(shown).collect());
            }
            (None, None) => return Err(Stop::More),
            _ if text.last().is_some_and(|&byte| byte != 0xff) => "unexpected end-of-input from",
            (None, Some(End::Timeout)) => "timeout on",
            (None, Some(_)) => "premature end-of-input on",
        };
        self.used = self.bytes.len();
        self.warnings
            .push(format!("{how} {PATH} while reading input attribute {what}"));
        Err(Stop::Bad)
    }
}
