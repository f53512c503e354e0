//! `names`: each byte string once, under a small number, with what is known
//! of it.
//!
//! For names that are met again and again. A name stays as long as somebody
//! holds it. They are found by a hash table that grows and shrinks by one list
//! at a time (linear hashing), so that nobody waits for all of them to be moved.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

use super::slab::Slab;

/// The number of a name.
pub type NameId = u32;

const NONE: NameId = NameId::MAX;

/// The names that are held, and a `T` for each of them.
#[derive(Debug)]
pub struct Names<T> {
    /// The first name of each list.
    lists: Vec<NameId>,
    names: Slab<Name<T>>,
    seed: u64,
}

#[derive(Debug)]
struct Name<T> {
    text: Box<[u8]>,
    hash: u64,
    /// The next name of its list.
    next: NameId,
    holders: u32,
    known: T,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names {
            lists: vec![NONE],
            names: Slab::default(),
            seed: RandomState::new().hash_one(()),
        }
    }
}

impl<T: Default> Names<T> {
    /// The number of a name that somebody holds.
    pub fn find(&self, text: &[u8]) -> Option<NameId> {
        if self.names.is_empty() {
            return None;
        }
        self.find_hashed(text, hash(self.seed, text))
    }

    /// Holds a name once more, and says its number. Nothing is known yet of one
    /// that is new.
    pub fn hold(&mut self, text: &[u8]) -> NameId {
        let hash = hash(self.seed, text);
        if let Some(id) = self.find_hashed(text, hash) {
            self.names[id].holders += 1;
            return id;
        }
        if self.names.len() >= self.lists.len() {
            self.add_list();
        }
        let id = self.names.insert(Name {
            text: text.into(),
            hash,
            next: NONE,
            holders: 1,
            known: T::default(),
        });
        self.link(id);
        id
    }

    /// Holds a name once less.
    pub fn release(&mut self, id: NameId) {
        let name = &mut self.names[id];
        name.holders -= 1;
        if name.holders > 0 {
            return;
        }
        self.unlink(id);
        self.names.remove(id);
        while self.names.len() < self.lists.len() / 2 {
            self.remove_list();
        }
    }

    /// What is known of a name, if somebody holds it.
    pub fn get(&self, id: NameId) -> Option<&T> {
        Some(&self.names.get(id)?.known)
    }

    /// The text of a name.
    pub fn text(&self, id: NameId) -> &[u8] {
        &self.names[id].text
    }

    fn find_hashed(&self, text: &[u8], hash: u64) -> Option<NameId> {
        let mut id = self.lists[self.list_of(hash)];
        while id != NONE {
            let name = &self.names[id];
            if name.hash == hash && *name.text == *text {
                return Some(id);
            }
            id = name.next;
        }
        None
    }

    /// In which list a name is. Those that a longer table would have in a list
    /// of its own are in the one from which that will be split.
    fn list_of(&self, hash: u64) -> usize {
        let size = self.lists.len().next_power_of_two();
        let list = hash as usize & (size - 1);
        if list < self.lists.len() {
            list
        } else {
            list - size / 2
        }
    }

    fn link(&mut self, id: NameId) {
        let list = self.list_of(self.names[id].hash);
        self.names[id].next = std::mem::replace(&mut self.lists[list], id);
    }

    fn unlink(&mut self, id: NameId) {
        let Name { hash, next, .. } = self.names[id];
        let list = self.list_of(hash);
        if self.lists[list] == id {
            self.lists[list] = next;
            return;
        }
        let mut pred = self.lists[list];
        while self.names[pred].next != id {
            pred = self.names[pred].next;
        }
        self.names[pred].next = next;
    }

    /// Splits a list.
    fn add_list(&mut self) {
        let list = self.lists.len();
        self.lists.push(NONE);
        let moved = std::mem::replace(&mut self.lists[list - (1 << list.ilog2())], NONE);
        self.link_all(moved);
    }

    /// Joins the last list to the one from which it was split.
    fn remove_list(&mut self) {
        if let Some(moved) = self.lists.pop() {
            self.link_all(moved);
        }
    }

    fn link_all(&mut self, first: NameId) {
        let mut id = first;
        while id != NONE {
            let next = self.names[id].next;
            self.link(id);
            id = next;
        }
    }
}

/// Whoever does not know the seed cannot make names that come into one list.
fn hash(seed: u64, text: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, piece: &[u8]| {
        let piece = piece.try_into().map_or(0, u64::from_ne_bytes);
        let product = u128::from(hash ^ piece) * u128::from(ODD);
        product as u64 ^ (product >> 64) as u64
    };
    let mut hash = seed ^ text.len() as u64;
    let mut pieces = text.chunks_exact(8);
    for piece in &mut pieces {
        hash = fold(hash, piece);
    }
    let mut last = [0; 8];
    let rest = pieces.remainder();
    last[..rest.len()].copy_from_slice(rest);
    fold(hash, &last)
}

impl<T> Index<NameId> for Names<T> {
    type Output = T;

    fn index(&self, id: NameId) -> &T {
        &self.names[id].known
    }
}

impl<T> IndexMut<NameId> for Names<T> {
    fn index_mut(&mut self, id: NameId) -> &mut T {
        &mut self.names[id].known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_until_its_last_holder_releases_it() {
        let mut names = Names::<u8>::default();
        let id = names.hold(b"a");
        names[id] = 7;
        assert_eq!(names.hold(b"a"), id);
        assert_ne!(names.hold(b""), id);
        names.release(id);
        assert_eq!((names.find(b"a"), names.text(id)), (Some(id), &b"a"[..]));
        assert_eq!(names[id], 7);
        names.release(id);
        assert_eq!((names.find(b"a"), names.get(id)), (None, None));
        assert!(names.find(b"").is_some());
        let again = names.hold(b"a");
        assert_eq!((again, names[again]), (id, 0));
    }

    #[test]
    fn names_of_one_hash_are_not_one() {
        let mut names = Names::<()>::default();
        // The length is in the same byte as the first letter on most machines.
        let (one, two) = (b"a", b"b\0");
        #[cfg(target_endian = "little")]
        assert_eq!(hash(names.seed, one), hash(names.seed, two));
        assert_ne!(names.hold(one), names.hold(two));
    }

    #[test]
    fn every_bit_of_the_seed_matters() {
        let seeds = (0..64).map(|bit| 1 << bit).chain([0]);
        let mut hashes: Vec<u64> = seeds.map(|seed| hash(seed, b"name")).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 65);
    }

    #[test]
    fn each_name_is_found_while_others_come_and_go() {
        let mut names = Names::<()>::default();
        let text = |number: usize| number.to_string().into_bytes();
        let ids: Vec<NameId> = (0..5000).map(|number| names.hold(&text(number))).collect();
        let mut most = names.lists.len();
        assert_eq!(most, 5000);
        // 7 and 5000 have no divisor in common.
        for gone in (0..5000).map(|step| step * 7 % 5000) {
            assert_eq!(names.find(&text(gone)), Some(ids[gone]));
            names.release(ids[gone]);
            assert_eq!(names.find(&text(gone)), None);
            let other = (gone + 7) % 5000;
            let found = names.find(&text(other));
            assert_eq!(found, (other != 0).then_some(ids[other]));
            assert!(names.lists.len() <= most);
            most = names.lists.len();
        }
    }

    #[test]
    fn lists_stay_short() {
        let mut names = Names::<()>::default();
        for number in 0..10_000 {
            names.hold(format!("smtp:[192.0.2.1]:25;example-{number}.com").as_bytes());
        }
        let length = |&first: &NameId| {
            let next = |&id: &NameId| Some(names.names[id].next).filter(|&next| next != NONE);
            std::iter::successors(Some(first).filter(|&id| id != NONE), next).count()
        };
        let lengths: Vec<usize> = names.lists.iter().map(length).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 10_000);
        assert!(lengths.iter().all(|&length| length < 30), "{lengths:?}");
    }
}
