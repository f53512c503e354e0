//! `slab`: things of one kind under small numbers that stay theirs.
//!
//! Where the original links structures by pointers, this program links them
//! by their number in the slab that owns them. A number is used again after
//! its thing has been removed.

use std::ops::{Index, IndexMut};

use super::heap;

/// Fewer things than this are no crowd.
const CROWD: usize = 500;

/// Owns things of one kind.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// The number that the next thing will have.
    pub fn next_number(&self) -> u32 {
        let unused = || u32::try_from(self.slots.len()).expect("fewer than 2^32 things");
        self.free.last().copied().unwrap_or_else(unused)
    }

    /// Takes a thing in and says its number.
    pub fn insert(&mut self, thing: T) -> u32 {
        let number = self.next_number();
        match self.free.pop() {
            Some(_) => self.slots[number as usize] = Some(thing),
            None => self.slots.push(Some(thing)),
        }
        number
    }

    /// Gives a thing back; nothing when the number is not in use.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let thing = self.slots.get_mut(number as usize)?.take()?;
        self.free.push(number);
        if self.is_empty() {
            self.give_memory_back();
        }
        Some(thing)
    }

    /// The thing with this number.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.as_mut()
    }

    /// The things with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    /// The numbers in use.
    pub fn numbers(&self) -> Vec<u32> {
        self.iter().map(|(number, _)| number).collect()
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // After a crowd has gone, the next few things need no room for a crowd.
    fn give_memory_back(&mut self) {
        if self.slots.len() > CROWD {
            *self = Slab::default();
            heap::give_back();
        } else {
            self.slots.clear();
            self.free.clear();
        }
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        self.slots[number as usize]
            .as_ref()
            .expect("a number in use")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.slots[number as usize]
            .as_mut()
            .expect("a number in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_after_its_thing_has_gone() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert("a"), slab.insert("b"));
        assert_eq!(slab.remove(a), Some("a"));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.insert("c"), a);
        assert_eq!((slab[a], slab[b], slab.len()), ("c", "b", 2));
        slab.remove(a);
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(b, &"b")]);
    }
}
