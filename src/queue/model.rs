//! The slot queue against a plain list.

use proptest::prelude::*;

use super::{SPARSE_FROM, SlotQueue};

#[derive(Clone, Debug)]
enum Operation {
    Push(u32),
    Remove(u32),
    Renumber(u32, u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = prop_oneof![0..8u32, SPARSE_FROM..SPARSE_FROM + 4];
    prop_oneof![
        3 => slot.clone().prop_map(Operation::Push),
        2 => slot.clone().prop_map(Operation::Remove),
        1 => (slot.clone(), slot).prop_map(|(from, to)| Operation::Renumber(from, to)),
    ]
}

fn slots(queue: &SlotQueue) -> Vec<u32> {
    std::iter::successors(queue.first(), |slot| queue.after(*slot)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_slot_queue_is_a_list_without_repetition(operations in prop::collection::vec(operation(), 0..200)) {
        let mut queue = SlotQueue::default();
        let mut list: Vec<u32> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Push(slot) => {
                    prop_assert_eq!(queue.push(slot), !list.contains(&slot));
                    if !list.contains(&slot) {
                        list.push(slot);
                    }
                }
                Operation::Remove(slot) => {
                    prop_assert_eq!(queue.remove(slot), list.contains(&slot));
                    list.retain(|other| *other != slot);
                }
                Operation::Renumber(_, to) if list.contains(&to) => {}
                Operation::Renumber(from, to) => {
                    queue.renumber(from, to);
                    for slot in list.iter_mut().filter(|slot| **slot == from) {
                        *slot = to;
                    }
                }
            }
            prop_assert_eq!(slots(&queue), list.clone());
            prop_assert_eq!(queue.first().is_none(), list.is_empty());
            for slot in (0..10).chain(SPARSE_FROM..SPARSE_FROM + 5) {
                prop_assert_eq!(queue.contains(slot), list.contains(&slot));
            }
        }
    }
}
