//! From a user's id to its number. Many small tables, as one large one moves all of its ids at once
//! when it grows, and nobody is served for half a second.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::member::SPARE_ENTRIES_MAX;

/// Of 2,000,000 ids, each table holds some 30,000, which move in a few milliseconds.
const TABLES: usize = 64;

/// The numbers of all users that are known.
#[derive(Debug)]
pub(super) struct Ids {
    /// Says the table. Randomly keyed, so that nobody can choose ids that fill one table alone.
    hasher: RandomState,
    tables: Box<[HashMap<Rc<str>, u32>]>,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids {
            hasher: RandomState::new(),
            tables: (0..TABLES).map(|_| HashMap::new()).collect(),
        }
    }
}

impl Ids {
    fn table(&self, id: &str) -> usize {
        self.hasher.hash_one(id) as usize % TABLES
    }

    /// The number of this user, if it is known.
    pub(super) fn get(&self, id: &str) -> Option<u32> {
        self.tables[self.table(id)].get(id).copied()
    }

    /// Adds a user that is not known.
    pub(super) fn insert(&mut self, id: Rc<str>, number: u32) {
        let table = self.table(&id);
        self.tables[table].insert(id, number);
    }

    /// Forgets a user.
    pub(super) fn remove(&mut self, id: &str) {
        let table = self.table(id);
        self.tables[table].remove(id);
    }

    /// Gives back the room that a crowd needed which is gone: of one table, for they move too.
    /// Says whether there was one.
    pub(super) fn give_back_room(&mut self) -> bool {
        let is_spacious = |table: &&mut HashMap<Rc<str>, u32>| {
            table.capacity() > 4 * table.len() + SPARE_ENTRIES_MAX
        };
        let Some(table) = self.tables.iter_mut().find(is_spacious) else {
            return false;
        };
        table.shrink_to(2 * table.len());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacities(ids: &Ids) -> Vec<usize> {
        ids.tables.iter().map(HashMap::capacity).collect()
    }

    #[test]
    fn an_id_more_moves_a_small_part_of_them() {
        let mut ids = Ids::default();
        let mut before = capacities(&ids);
        for number in 0..200_000 {
            ids.insert(number.to_string().into(), number);
            let after = capacities(&ids);
            let moved: usize = (before.iter().zip(&after))
                .filter(|(before, after)| before != after)
                .map(|(before, _)| before)
                .sum();
            assert!(moved <= 8 + number as usize / 16, "{moved} of {number}");
            before = after;
        }
    }

    #[test]
    fn room_is_given_back_table_by_table_until_none_has_too_much() {
        let mut ids = Ids::default();
        for number in 0..100_000 {
            ids.insert(number.to_string().into(), number);
        }
        for number in 0..99_000 {
            ids.remove(&number.to_string());
        }
        while ids.give_back_room() {}
        assert!(capacities(&ids).iter().sum::<usize>() < 4 * 1000 + TABLES * SPARE_ENTRIES_MAX);
        for number in 0..100_000 {
            let expected = (number >= 99_000).then_some(number);
            assert_eq!(ids.get(&number.to_string()), expected);
        }
    }
}
