//! Ceilings over what all connections hold together of one kind. Knows not what it is.

use std::cell::Cell;
use std::rc::Rc;

/// How many bytes are held of at most so many.
#[derive(Clone, Debug)]
pub struct Ceiling {
    held: Rc<Cell<usize>>,
    max: usize,
}

impl Ceiling {
    /// One under which nothing is held.
    pub fn new(max: usize) -> Ceiling {
        Ceiling {
            held: Rc::default(),
            max,
        }
    }

    /// Whether there is room for so many bytes more.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.held.get().saturating_add(bytes) <= self.max
    }

    /// Holds so many bytes, whether there is room or not.
    pub fn hold(&self, bytes: usize) -> Held {
        let mut held = Held {
            bytes: 0,
            ceiling: self.clone(),
        };
        held.grow_to(bytes);
        held
    }
}

/// Bytes that count until this is dropped, however that comes.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    ceiling: Ceiling,
}

impl Held {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds more, so many in all, whether there is room or not.
    pub fn grow_to(&mut self, bytes: usize) {
        let Ceiling { held, .. } = &self.ceiling;
        held.set(held.get() + bytes.saturating_sub(self.bytes));
        self.bytes = self.bytes.max(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Ceiling { held, .. } = &self.ceiling;
        held.set(held.get() - self.bytes);
    }
}
