//! `names`: each byte string once, under a small number.
//!
//! For names that are met again and again. A name stays as long as somebody
//! holds it.

use std::collections::HashMap;
use std::rc::Rc;

use super::slab::Slab;

/// The number of a name.
pub type NameId = u32;

/// The names that are held.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<Rc<[u8]>, NameId>,
    names: Slab<Name>,
}

#[derive(Debug)]
struct Name {
    text: Rc<[u8]>,
    holders: u32,
}

impl Names {
    /// The number of a name that somebody holds.
    pub fn find(&self, text: &[u8]) -> Option<NameId> {
        self.numbers.get(text).copied()
    }

    /// Holds a name once more, and says its number.
    pub fn hold(&mut self, text: &[u8]) -> NameId {
        if let Some(id) = self.find(text) {
            self.names[id].holders += 1;
            return id;
        }
        let text: Rc<[u8]> = text.into();
        let id = self.names.insert(Name {
            text: Rc::clone(&text),
            holders: 1,
        });
        self.numbers.insert(text, id);
        id
    }

    /// Holds a name once less.
    pub fn release(&mut self, id: NameId) {
        let name = &mut self.names[id];
        name.holders -= 1;
        if name.holders > 0 {
            return;
        }
        self.numbers.remove(&name.text);
        self.names.remove(id);
        if self.names.is_empty() && self.numbers.capacity() > 1024 {
            self.numbers.shrink_to_fit();
        }
    }

    /// The text of a name.
    pub fn text(&self, id: NameId) -> &[u8] {
        &self.names[id].text
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_until_its_last_holder_releases_it() {
        let mut names = Names::default();
        let id = names.hold(b"a");
        assert_eq!(names.hold(b"a"), id);
        assert_ne!(names.hold(b""), id);
        names.release(id);
        assert_eq!((names.find(b"a"), names.text(id)), (Some(id), &b"a"[..]));
        names.release(id);
        assert_eq!(names.find(b"a"), None);
        assert!(names.find(b"").is_some() && !names.is_empty());
    }
}
