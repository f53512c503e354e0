//! `slab`: things of one kind under small numbers that stay theirs.
//!
//! Where the original links structures by pointers, this program links them
//! by their number in the slab that owns them. A number is used again after
//! its thing has been removed, the lowest first.
//!
//! The things are in chunks, so that no time is taken to move them when there
//! are many, and no memory when they have gone.

use std::ops::{Index, IndexMut};

/// How many things are in a chunk: one for each bit of [`Chunk::used`].
const CHUNK: usize = 64;

/// How many chunks have their bits in one word.
const WORD: usize = 64;

/// Owns things of one kind.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// A bit for each chunk: whether there are numbers in it that are not in
    /// use.
    with_room: Vec<u64>,
    /// A chunk without things that keeps its memory for those to come.
    spare: Option<usize>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    used: u64,
    /// Nothing, or [`CHUNK`] of them.
    slots: Box<[Option<T>]>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            chunks: Vec::new(),
            with_room: Vec::new(),
            spare: None,
            len: 0,
        }
    }
}

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Chunk {
            used: 0,
            slots: Box::default(),
        }
    }
}

impl<T> Slab<T> {
    /// The number that the next thing will have.
    pub fn next_number(&self) -> u32 {
        let number = match self.first_with_room() {
            Some(at) => at * CHUNK + self.chunks[at].used.trailing_ones() as usize,
            None => self.chunks.len() * CHUNK,
        };
        u32::try_from(number).expect("fewer than 2^32 things")
    }

    /// Takes a thing in and says its number.
    pub fn insert(&mut self, thing: T) -> u32 {
        let number = self.next_number();
        let (at, slot) = place(number);
        if at == self.chunks.len() {
            self.chunks.push(Chunk::default());
            self.with_room.resize(at / WORD + 1, 0);
            self.set_room(at, true);
        }
        let chunk = &mut self.chunks[at];
        if chunk.slots.is_empty() {
            chunk.slots = std::iter::repeat_with(|| None).take(CHUNK).collect();
        }
        chunk.slots[slot] = Some(thing);
        chunk.used |= 1 << slot;
        if chunk.used == u64::MAX {
            self.set_room(at, false);
        }
        self.spare.take_if(|spare| *spare == at);
        self.len += 1;
        number
    }

    /// Gives a thing back; nothing when the number is not in use.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let (at, slot) = place(number);
        let chunk = self.chunks.get_mut(at)?;
        let thing = chunk.slots.get_mut(slot)?.take()?;
        let used = chunk.used;
        chunk.used &= !(1 << slot);
        if used == u64::MAX {
            self.set_room(at, true);
        }
        if used == 1 << slot {
            self.empty(at);
        }
        self.len -= 1;
        Some(thing)
    }

    /// The thing with this number.
    pub fn get(&self, number: u32) -> Option<&T> {
        let (at, slot) = place(number);
        self.chunks.get(at)?.slots.get(slot)?.as_ref()
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (at, slot) = place(number);
        self.chunks.get_mut(at)?.slots.get_mut(slot)?.as_mut()
    }

    /// The things with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = (0..).step_by(CHUNK).zip(&self.chunks);
        let slots = slots.flat_map(|(first, chunk)| (first..).zip(&chunk.slots));
        slots.filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    /// The numbers in use.
    pub fn numbers(&self) -> Vec<u32> {
        self.iter().map(|(number, _)| number).collect()
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn first_with_room(&self) -> Option<usize> {
        let word = self.with_room.iter().position(|&word| word != 0)?;
        Some(word * WORD + self.with_room[word].trailing_zeros() as usize)
    }

    fn set_room(&mut self, at: usize, has_room: bool) {
        let bit = 1 << (at % WORD);
        match has_room {
            true => self.with_room[at / WORD] |= bit,
            false => self.with_room[at / WORD] &= !bit,
        }
    }

    /// The last thing of a chunk has gone. Its memory stays for the next thing,
    /// if that will come there, and is then the only one that is kept.
    fn empty(&mut self, at: usize) {
        let unneeded = match self.first_with_room() {
            Some(first) if first == at => self.spare.replace(at),
            _ => Some(at),
        };
        if let Some(at) = unneeded {
            self.chunks[at].slots = Box::default();
        }
        while self.chunks.last().is_some_and(|last| last.slots.is_empty()) {
            self.chunks.pop();
            self.set_room(self.chunks.len(), false);
        }
    }
}

/// In which chunk a number is, and where.
fn place(number: u32) -> (usize, usize) {
    (number as usize / CHUNK, number as usize % CHUNK)
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        self.get(number).expect("a number in use")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.get_mut(number).expect("a number in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_memory<T>(slab: &Slab<T>) -> usize {
        let chunks = slab.chunks.iter();
        chunks.filter(|chunk| !chunk.slots.is_empty()).count()
    }

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

    #[test]
    fn a_number_in_a_full_chunk_is_used_again() {
        let mut slab = Slab::default();
        for thing in 0..2 * CHUNK {
            slab.insert(thing);
        }
        slab.remove(7);
        assert_eq!(slab.insert(7), 7);
    }

    #[test]
    fn memory_goes_back_though_the_last_thing_of_a_crowd_stays() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..100_000).map(|thing| slab.insert(thing)).collect();
        assert_eq!(numbers, slab.numbers());
        for &number in &numbers[..99_999] {
            assert_eq!(slab.remove(number), Some(number));
        }
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(99_999, &99_999)]);
        assert_eq!(with_memory(&slab), 2);
        assert_eq!(slab.insert(7), 0);
        assert_eq!(slab.remove(99_999), Some(99_999));
        assert_eq!((slab.len(), with_memory(&slab)), (1, 1));
    }

    #[test]
    fn memory_goes_back_when_the_newest_go_first() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..10_000).map(|thing| slab.insert(thing)).collect();
        for &number in numbers[1..9_999].iter().rev() {
            slab.remove(number);
        }
        assert_eq!(with_memory(&slab), 3);
        slab.remove(9_999);
        assert_eq!((with_memory(&slab), slab.chunks.len()), (2, 2));
    }

    #[test]
    fn a_few_things_that_come_and_go_leave_the_memory_alone() {
        let mut slab = Slab::default();
        for thing in 0..CHUNK {
            slab.insert(thing);
        }
        for _ in 0..3 {
            let number = slab.insert(64);
            assert_eq!(number, 64);
            slab.remove(number);
            assert_eq!((slab.spare, slab.chunks.len()), (Some(1), 2));
        }
    }
}
