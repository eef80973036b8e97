//! Last known positions over HTTP.

use std::collections::HashSet;

use super::Server;
use super::access;
use super::response::Response;
use crate::auth::Token;
use crate::protocol::{Feature, encode_feature};

/// Longest answer, in bytes: as much as a connection may hold that does not read it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

impl Server {
    /// The last known positions of these users as GeoJSON. Users without one are left out, and so
    /// are those whom the bearer of the token may not follow, where tokens are asked for.
    pub(super) fn positions(&self, ids: Option<&[String]>, token: Option<&Token>) -> Response {
        let Some(keys) = &self.keys else {
            return self.features(ids, |_| true).for_any_page();
        };
        let missing = Token::new("");
        match access::read(keys, token.unwrap_or(&missing), self.now) {
            Ok(grant) => self.features(ids, |id| grant.may_follow(id)),
            Err(refused) => Response::unauthorized(refused),
        }
    }

    fn features(&self, ids: Option<&[String]>, is_shown: impl Fn(&str) -> bool) -> Response {
        let Some(ids) = ids else {
            return Response::bad_request("say whose positions: /positions?ids=5,6");
        };
        let ids_max = self.config.max_follows as usize;
        if ids.len() > ids_max {
            let line = format!("ask for at most {ids_max} ids at once");
            return Response::bad_request(&line);
        }
        let mut body = br#"{"type":"FeatureCollection","features":["#.to_vec();
        let mut named = HashSet::new();
        for id in ids {
            let known = (self.hub.runner(id)).and_then(|runner| {
                let (position, age) = self.hub.last_known(runner, self.now.monotonic)?;
                Some(Feature {
                    position,
                    age_s: age.as_secs_f64(),
                    state: self.hub.state(runner),
                    is_connected: self.hub.is_connected(runner),
                })
            });
            if let Some(feature) = known
                && is_shown(id)
                && named.insert(id)
            {
                if named.len() > 1 {
                    body.push(b',');
                }
                encode_feature(&feature, &mut body);
            }
            if body.len() > BODY_BYTES_MAX {
                return Response::bad_request("this is over 1 MiB: ask for fewer ids at once");
            }
        }
        body.extend_from_slice(b"]}\n");
        Response::geo_json(body)
    }
}
