//! `getopt`: the options of a command line, as getopt(3) returns them: up to the
//! first argument that is not an option, or up to `--`.
//!
//! ```
//! use scache::util::getopt::Getopt;
//! let words = ["-lt", "unix", "-nx", "file"].map(|word| word.as_bytes().to_vec());
//! let mut getopt = Getopt::new(words, b"nt");
//! assert_eq!(getopt.next(), Some((b'l', None)));
//! assert_eq!(getopt.next(), Some((b't', Some(b"unix".to_vec()))));
//! assert_eq!(getopt.next(), Some((b'n', Some(b"x".to_vec()))));
//! assert_eq!(getopt.next(), None);
//! assert_eq!(getopt.argument, Some(b"file".to_vec()));
//! ```

use std::vec;

/// Iterates over options. Each is a letter and its value. The value is None if the
/// option has none, or if it is missing. Unknown letters are not an error here.
#[derive(Clone, Debug)]
pub struct Getopt {
    words: vec::IntoIter<Vec<u8>>,
    with_value: &'static [u8],
    /// The rest of a word that began with `-`.
    letters: vec::IntoIter<u8>,
    /// The first argument that is not an option, after the last option.
    pub argument: Option<Vec<u8>>,
}

impl Getopt {
    /// The options in these words; the letters in `with_value` have values.
    pub fn new(words: impl IntoIterator<Item = Vec<u8>>, with_value: &'static [u8]) -> Getopt {
        Getopt {
            words: words.into_iter().collect::<Vec<_>>().into_iter(),
            with_value,
            letters: Vec::new().into_iter(),
            argument: None,
        }
    }

    fn next_letter(&mut self) -> Option<u8> {
        if let Some(letter) = self.letters.next() {
            return Some(letter);
        }
        let mut word = self.words.next()?;
        match &word[..] {
            b"--" => self.argument = self.words.next(),
            [b'-', _, ..] => {
                self.letters = word.split_off(1).into_iter();
                return self.letters.next();
            }
            _ => self.argument = Some(word),
        }
        // The rest are arguments.
        self.words = Vec::new().into_iter();
        None
    }
}

impl Iterator for Getopt {
    type Item = (u8, Option<Vec<u8>>);

    fn next(&mut self) -> Option<(u8, Option<Vec<u8>>)> {
        let letter = self.next_letter()?;
        if !self.with_value.contains(&letter) {
            return Some((letter, None));
        }
        let rest: Vec<u8> = self.letters.by_ref().collect();
        match rest.is_empty() {
            true => Some((letter, self.words.next())),
            false => Some((letter, Some(rest))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_dashes_end_the_options_and_a_value_may_be_missing() {
        let words = |words: [&str; 3]| words.map(|word| word.as_bytes().to_vec());
        let mut getopt = Getopt::new(words(["-l", "--", "-x"]), b"n");
        assert_eq!(getopt.next(), Some((b'l', None)));
        assert_eq!(getopt.next(), None);
        assert_eq!(getopt.argument, Some(b"-x".to_vec()));

        let mut getopt = Getopt::new(words(["-n", "-", "-n"]), b"n");
        assert_eq!(getopt.next(), Some((b'n', Some(b"-".to_vec()))));
        assert_eq!(getopt.next(), Some((b'n', None)));
        assert_eq!((getopt.next(), getopt.argument), (None, None));

        let mut getopt = Getopt::new(words(["-", "-x", "y"]), b"");
        assert_eq!(getopt.next(), None);
        assert_eq!(getopt.argument, Some(b"-".to_vec()));
    }
}
