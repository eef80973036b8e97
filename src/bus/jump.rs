//! Which of several buckets an id falls into: every node says the same, and one more bucket moves no
//! id but to itself. Must never know what the buckets are: engines, or parts of a long list.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The bucket of an id, out of this many, which must be some.
///
/// Ids that resemble one another are spread by a hash: the first eight bytes of the SHA-1 of the
/// id, the most significant first. Nobody gains by finding two ids of one hash.
pub(crate) fn bucket_of(id: &str, buckets: usize) -> usize {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, id.as_bytes());
    let first = hash.as_ref().first_chunk().expect("SHA-1 has 20 bytes");
    jump(u64::from_be_bytes(*first), buckets)
}

/// The jump consistent hash of Lamping and Veach, <https://arxiv.org/abs/1406.2294>: steps through
/// the counts of buckets at which this key moves, up to the last within `buckets`.
fn jump(mut key: u64, buckets: usize) -> usize {
    assert!(buckets > 0, "an id lives somewhere");
    let mut next = 0;
    loop {
        let bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let fraction = (1u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        // At most 2^31 times the count, which a float holds.
        next = ((bucket + 1) as f64 * fraction) as usize;
        if next >= buckets {
            return bucket;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_fall_where_they_fall_in_other_implementations() {
        // As in ClickHouse's tests (00580_consistent_hashing_functions) and those of several
        // libraries.
        for (key, buckets, bucket) in [
            (1, 1, 0),
            (42, 57, 43),
            (256, 1024, 520),
            (0xDEAD_10CC, 1, 0),
            (0xDEAD_10CC, 666, 361),
            (0, 60, 0),
            (1, 60, 55),
            (2, 60, 46),
        ] {
            assert_eq!(jump(key, buckets), bucket, "{key} in {buckets}");
        }
    }

    #[test]
    fn ids_fall_where_every_version_of_this_program_puts_them() {
        // By Python's hashlib and the paper's listing.
        for (id, buckets) in [
            ("5", [0, 1, 1, 1, 1, 1, 1, 1]),
            ("6", [0, 0, 2, 2, 2, 2, 2, 2]),
            ("anna", [0, 0, 0, 3, 3, 3, 3, 3]),
            ("Läufer *.:", [0, 1, 1, 1, 1, 1, 1, 1]),
        ] {
            for (count, bucket) in (1..).zip(buckets) {
                assert_eq!(bucket_of(id, count), bucket, "{id} on {count}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_more_bucket_moves_no_id_but_to_itself(id in "\\PC{1,20}", buckets in 1..100usize) {
            let (before, after) = (bucket_of(&id, buckets), bucket_of(&id, buckets + 1));
            prop_assert!(before < buckets);
            prop_assert!(after == before || after == buckets);
        }
    }

    #[test]
    fn each_bucket_has_its_share_of_the_ids() {
        let mut ids_in = [0; 5];
        for number in 0..10_000 {
            ids_in[bucket_of(&number.to_string(), 5)] += 1;
        }
        assert!(
            ids_in.iter().all(|ids| (1800..2200).contains(ids)),
            "{ids_in:?}"
        );
    }
}
