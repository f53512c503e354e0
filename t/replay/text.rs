//! Converts bytes to text and back: attribute lists, escapes, repeated values.

/// A value at least this long is shown as a repetition if it is one.
const SHOW_REPEATED: usize = 32;

/// Converts text to bytes: `\0`, `\n`, `\t`, `\s` (blank), `\\`,
/// `\"` and `\xNN` are special.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&kind, tail) = rest.split_first().ok_or("a lone \\ at the end")?;
        rest = tail;
        bytes.push(match kind {
            b'0' => 0,
            b'n' => b'\n',
            b't' => b'\t',
            b's' => b' ',
            b'\\' | b'"' => kind,
            b'x' => {
                let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
                rest = &rest[rest.len().min(2)..];
                byte.ok_or("\\x wants two hexadecimal digits")?
            }
            _ => return Err(format!("unknown escape \\{}", kind as char)),
        });
    }
    Ok(bytes)
}

/// Converts bytes to text.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            0 => text.push_str("\\0"),
            b' ' => text.push_str("\\s"),
            b'\\' => text.push_str("\\\\"),
            b'*' | b'"' => text.push_str(&format!("\\x{byte:02x}")),
            b'!'..=b'~' => text.push(byte as char),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// Converts `TEXT*COUNT`, or text without a count, to bytes.
fn repeated(text: &str) -> Result<Vec<u8>, String> {
    if let Some((once, count)) = text.rsplit_once('*') {
        let count = count
            .parse()
            .map_err(|_| format!("no count after *: {text}"))?;
        return Ok(unescape(once)?.repeat(count));
    }
    unescape(text)
}

fn show_repeated(bytes: &[u8]) -> String {
    let repeats = |period: &usize| {
        bytes.len() % *period == 0
            && bytes
                .chunks(*period)
                .all(|chunk| chunk == &bytes[..*period])
    };
    if bytes.len() >= SHOW_REPEATED {
        if let Some(period) = (1..=8).find(repeats) {
            return format!("{}*{}", escape(&bytes[..period]), bytes.len() / period);
        }
    }
    escape(bytes)
}

/// Converts an attribute list, `name=value name=value .`, to bytes. A value may be
/// repeated, `x*4000`. Without the final `.` the list has no terminator.
pub fn list(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if word == "." {
            bytes.push(0);
            continue;
        }
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("no = in {word}"))?;
        bytes.extend(repeated(name)?);
        bytes.push(0);
        bytes.extend(repeated(value)?);
        bytes.push(0);
    }
    Ok(bytes)
}

/// Converts an attribute list to text.
pub fn show_list(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut parts = bytes.split(|&byte| byte == 0);
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        if name.is_empty() {
            break;
        }
        text.push_str(&format!(
            "{}={} ",
            show_repeated(name),
            show_repeated(value)
        ));
    }
    text.push('.');
    text
}

/// Converts `"text"` or `"text"*COUNT` to bytes.
pub fn quoted(text: &str) -> Result<Vec<u8>, String> {
    let inner = text
        .strip_prefix('"')
        .ok_or_else(|| format!("no opening quote: {text}"))?;
    let (inner, count) = inner
        .rsplit_once('"')
        .ok_or_else(|| format!("no closing quote: {text}"))?;
    let once = unescape(inner)?;
    match count.strip_prefix('*').map(str::parse) {
        None if count.is_empty() => Ok(once),
        Some(Ok(count)) => Ok(once.repeat(count)),
        _ => Err(format!("after the closing quote: {count}")),
    }
}

/// Converts bytes to the text that `quoted` reads.
pub fn show_quoted(bytes: &[u8]) -> String {
    let text = show_repeated(bytes);
    match text.rsplit_once('*') {
        Some((once, count)) => format!("\"{once}\"*{count}"),
        None => format!("\"{text}\""),
    }
}
