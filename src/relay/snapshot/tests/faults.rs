//! Of bytes that are not those of a snapshot nothing is restored, and none of them make us panic.

use proptest::prelude::*;

use super::super::Fault;
use super::{known, restored, rules, small, taken};
use crate::relay::trail::Trail;

#[test]
fn no_bytes_that_were_cut_off_are_restored() {
    let (relay, time) = small();
    let bytes = taken(&relay, time);
    for length in 0..bytes.len() {
        let fault = restored(&bytes[..length], rules(), time)
            .map(|_| ())
            .expect_err("cut off");
        assert_eq!(fault, Fault::Torn, "{length} of {}", bytes.len());
    }
    assert_eq!(
        restored(&bytes, rules(), time).map(|it| it.known_total()),
        Ok(3)
    );
    let longer = [&bytes[..], b"\n"].concat();
    assert_eq!(
        restored(&longer, rules(), time).map(|_| ()),
        Err(Fault::Damaged)
    );
}

#[test]
fn no_bytes_of_which_a_bit_is_another_are_restored() {
    let (relay, time) = small();
    let bytes = taken(&relay, time);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(restored(&damaged, rules(), time).is_err(), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn bytes_that_are_right_up_to_their_checksum_are_judged_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (relay, time) = small();
        let mut bytes = taken(&relay, time);
        let body = bytes.len() - 4;
        for (at, byte) in changes {
            bytes[at.index(body)] = byte;
        }
        let checksum = crc32fast::hash(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&checksum);
        if let Ok(mut relay) = restored(&bytes, rules(), time) {
            relay.advance(time.monotonic);
            prop_assert!(known(&relay, time.monotonic).len() <= 3);
        }
    }
}

#[test]
fn what_another_program_wrote_is_told_from_what_a_newer_one_did() {
    let (_, time) = small();
    let fault = |bytes: &[u8]| {
        restored(bytes, rules(), time)
            .map(|_| ())
            .expect_err("no state")
    };
    for foreign in [
        &b"{}\n"[..],
        b"spectate state\n",
        b"spectate state 0\n",
        b"spectate state +x\n",
        b"spectate state -1\n",
        b"spectate state 99999999999999999999\n",
        b"SQLite format 3\0",
        &[0; 4096],
        &[b'\xff'; 100],
        &[b"spectate state ", &[b'1'; 100][..]].concat(),
    ] {
        assert_eq!(fault(foreign), Fault::Foreign, "{foreign:?}");
    }
    assert_eq!(fault(b"spectate state 2\n"), Fault::Newer(2));
    assert_eq!(fault(b"spectate state 12\nwhatever"), Fault::Newer(12));
    assert_eq!(fault(b""), Fault::Torn);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn points_are_read_of_any_bytes_on_earth_and_in_order_or_not_at_all(
        count in 0..6u32,
        bytes in prop::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..60),
    ) {
        let bytes = [&count.to_le_bytes()[..], &bytes].concat();
        if let Some(points) = Trail::read(&bytes) {
            prop_assert_eq!(points.len(), count as usize);
            prop_assert!(points.windows(2).all(|pair| pair[0].ms < pair[1].ms));
            prop_assert!(points.iter().all(|point| point.lat_e6.abs() <= 90_000_000));
        }
    }
}
