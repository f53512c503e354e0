//! Compares logs: the program's name is taken off, what changes from run to
//! run is masked.

/// Parts of other programs that the C daemon runs with -v.
const NOT_WANTED: [&str; 4] = [
    "name_mask: ",
    "inet_addr_local: ",
    "been_here: ",
    "mynetworks_core: ",
];

/// What every line starts with.
const IDENT: &str = "postfix/scache: ";

/// The lines that are compared, masked.
pub fn masked(lines: &[String]) -> Vec<String> {
    let text = lines
        .iter()
        .map(|line| line.strip_prefix(IDENT).unwrap_or(line));
    let wanted = text.filter(|line| !NOT_WANTED.iter().any(|part| line.starts_with(part)));
    wanted
        .map(|line| mask_fds(&mask_reason(&mask_time(line))))
        .collect()
}

/// The start of the statistics interval.
fn mask_time(line: &str) -> String {
    const START: &str = "statistics: start interval ";
    match line.strip_prefix(START) {
        Some(time) if looks_like_time(time) => format!("{START}Mmm dd hh:mm:ss"),
        _ => line.to_string(),
    }
}

/// When a message brings no descriptor, or a list instead of a dummy comes,
/// there is no reason to give: the C daemon shows what some earlier call had
/// left in errno.
fn mask_reason(line: &str) -> String {
    match line.rsplit_once(" file descriptor: ") {
        Some((what, "No such process" | "Success" | "Application error")) => {
            format!("{what} file descriptor: (none)")
        }
        _ => line.to_string(),
    }
}

/// `Nov 24 01:48:58`, or `Nov  4 ...`.
fn looks_like_time(text: &str) -> bool {
    let shape = "Aaa 99 99:99:99";
    let fits = |(kind, byte): (u8, u8)| match kind {
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        b'9' => byte.is_ascii_digit(),
        other => byte == other,
    };
    let text = text.replacen("  ", " 0", 1);
    text.len() == shape.len() && shape.bytes().zip(text.bytes()).all(fits)
}

/// `fd=7` and `fd 7` become `fd=NN` and `fd NN`; `fd=-1` stays.
fn mask_fds(line: &str) -> String {
    let mut masked = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("fd") {
        let (before, after) = rest.split_at(at + 2);
        masked.push_str(before);
        rest = after;
        if !before[..at].ends_with(|last: char| last.is_ascii_alphanumeric())
            && rest.starts_with([' ', '='])
        {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                masked.push_str(&rest[..1]);
                masked.push_str("NN");
                rest = &rest[1 + digits..];
            }
        }
    }
    masked + rest
}

/// The first difference: its index, what was wanted and what came. The end
/// of a log is `(nothing more)`.
pub fn difference(wanted: &[String], came: &[String]) -> Option<(usize, String, String)> {
    let at = |lines: &[String], index: usize| match lines.get(index) {
        Some(line) => line.clone(),
        None => "(nothing more)".to_string(),
    };
    let index =
        (0..wanted.len().max(came.len())).find(|&index| wanted.get(index) != came.get(index))?;
    Some((index, at(wanted, index), at(came, index)))
}
