//! Log lines, fit to be compared.

/// A line with one `?` for what is not readable: of a character that is not
/// whole, or that a terminal would obey, the C daemon logs the bytes there
/// are, this one question marks.
pub fn readable(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let c = match c {
            '\u{fffd}' | '\u{80}'..='\u{9f}' => '?',
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
            c => c,
        };
        if c != '?' || !text.ends_with('?') {
            text.push(c);
        }
    }
    text
}
