//! `ring`: lists whose members know their neighbours.
//!
//! The original's `ring(3)` with numbers in a [`Slab`] for pointers: a member
//! is appended, inserted and detached in constant time wherever it stands.

use super::slab::Slab;

const NONE: u32 = u32::MAX;

/// The head of a list.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    first: u32,
    last: u32,
    len: u32,
}

/// What a member carries to be in a list.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pred: u32,
    succ: u32,
}

/// A thing that can be in a list.
pub trait RingMember {
    /// Its neighbours.
    fn link(&mut self) -> &mut Link;
    /// Its neighbours, to read.
    fn neighbours(&self) -> Link;
}

impl Default for Ring {
    fn default() -> Self {
        Ring {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Link {
            pred: NONE,
            succ: NONE,
        }
    }
}

impl Ring {
    /// The first member.
    pub fn first(&self) -> Option<u32> {
        some(self.first)
    }

    /// The last member.
    pub fn last(&self) -> Option<u32> {
        some(self.last)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The member after `member`. The original's `ring_succ()`.
    pub fn succ<T: RingMember>(members: &Slab<T>, member: u32) -> Option<u32> {
        some(members[member].neighbours().succ)
    }

    /// Puts `member` at the end. The original's `ring_append()`.
    pub fn append<T: RingMember>(&mut self, members: &mut Slab<T>, member: u32) {
        self.insert_after(members, self.last(), member);
    }

    /// Puts `member` after `pred`, or in front of all.
    pub fn insert_after<T: RingMember>(
        &mut self,
        members: &mut Slab<T>,
        pred: Option<u32>,
        member: u32,
    ) {
        let pred = pred.unwrap_or(NONE);
        let succ = match some(pred) {
            Some(pred) => std::mem::replace(&mut members[pred].link().succ, member),
            None => std::mem::replace(&mut self.first, member),
        };
        match some(succ) {
            Some(succ) => members[succ].link().pred = member,
            None => self.last = member,
        }
        *members[member].link() = Link { pred, succ };
        self.len += 1;
    }

    /// Takes `member` out. The original's `ring_detach()`.
    pub fn detach<T: RingMember>(&mut self, members: &mut Slab<T>, member: u32) {
        let Link { pred, succ } = std::mem::take(members[member].link());
        match some(pred) {
            Some(pred) => members[pred].link().succ = succ,
            None => self.first = succ,
        }
        match some(succ) {
            Some(succ) => members[succ].link().pred = pred,
            None => self.last = pred,
        }
        self.len -= 1;
    }
}

fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Member(Link);

    impl RingMember for Member {
        fn link(&mut self) -> &mut Link {
            &mut self.0
        }
        fn neighbours(&self) -> Link {
            self.0
        }
    }

    fn members(ring: &Ring, slab: &Slab<Member>) -> Vec<u32> {
        std::iter::successors(ring.first(), |&m| Ring::succ(slab, m)).collect()
    }

    #[test]
    fn members_keep_their_order_when_others_come_and_go() {
        let (mut ring, mut slab) = (Ring::default(), Slab::default());
        for number in 0..4 {
            assert_eq!(slab.insert(Member::default()), number);
            ring.append(&mut slab, number);
        }
        for (gone, left) in [(1, vec![0, 2, 3]), (3, vec![0, 2]), (0, vec![2])] {
            ring.detach(&mut slab, gone);
            assert_eq!(members(&ring, &slab), left);
        }
        ring.insert_after(&mut slab, None, 0);
        ring.insert_after(&mut slab, Some(2), 3);
        ring.insert_after(&mut slab, Some(0), 1);
        assert_eq!(members(&ring, &slab), [0, 1, 2, 3]);
        assert_eq!((ring.last(), ring.len()), (Some(3), 4));
        assert!(!ring.is_empty());
        for number in 0..4 {
            ring.detach(&mut slab, number);
        }
        assert!(ring.is_empty() && ring.first().is_none() && ring.last().is_none());
    }
}
