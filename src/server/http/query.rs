//! What stands behind the question mark of a request target. Knows no users.

use percent_encoding::percent_decode_str;

/// The user ids of `ids=5,6`, which may come several times; `None` if there are none. Only a bare
/// comma separates: `%2C` is a part of an id, and so is `+`.
pub(super) fn ids(target: &str) -> Option<Vec<String>> {
    let target = target.split('#').next()?;
    let (_, query) = target.split_once('?')?;
    let ids: Vec<String> = (query.split('&'))
        .filter_map(|pair| pair.strip_prefix("ids="))
        .flat_map(|list| list.split(','))
        .filter(|id| !id.is_empty())
        .map(|id| percent_decode_str(id).decode_utf8_lossy().into_owned())
        .collect();
    (!ids.is_empty()).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_separated_by_commas_and_decoded_after_that() {
        for (target, expected) in [
            ("/positions?ids=5", &["5"][..]),
            ("/positions?ids=5,6,", &["5", "6"]),
            ("/positions?x=1&ids=5&ids=6&y#ids=7", &["5", "6"]),
            (
                "/positions?ids=a%20b,%2c,1+1,%c3%a4",
                &["a b", ",", "1+1", "ä"],
            ),
            ("/positions?ids=%zz,%", &["%zz", "%"]),
            ("/positions?ids=%ff", &["\u{fffd}"]),
        ] {
            let ids = ids(target).expect(target);
            assert_eq!(ids, expected, "{target}");
        }
        for target in [
            "/positions",
            "/positions?",
            "/positions?ids",
            "/positions?ids=",
            "/positions?ids=,",
            "/positions?id=5",
            "/positions?xids=5",
            "/positions#?ids=5",
        ] {
            assert_eq!(ids(target), None, "{target}");
        }
    }
}
