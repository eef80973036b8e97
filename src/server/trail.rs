//! The way that somebody came, as the answer to a request.

use super::config::TRAIL_POINTS_MAX;
use super::http::{Conditions, IdQuery, Response};
use super::memory::TRAIL_POINT_BYTES;
use super::parts::Server;
use crate::point::TrailPoint;
use crate::protocol::encode_trail_feature;
use crate::relay::Authority;
use crate::user::{Written, is_id};

/// Longest answer with a trail, in bytes.
pub(super) const TRAIL_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(TRAIL_BYTES_MAX > TRAIL_POINTS_MAX as usize * TRAIL_POINT_BYTES + 1024);

impl Server {
    /// The trail of the user who is asked for, whole.
    pub(super) fn trail(
        &self,
        query: &IdQuery,
        by: &Authority,
        conditions: &Conditions,
    ) -> Response {
        let Some(id) = query.only().filter(|id| is_id(id)) else {
            return Response::bad_request("say whose trail, by one id: /trail?id=5");
        };
        if !self.relay.may_follow(by, &id) {
            return Response::forbidden("your token does not let you follow this user");
        }
        let known = self.relay.visible(by, &id).map(|runner| {
            let points: Vec<TrailPoint> = self.relay.trail(runner).collect();
            let known = self.relay.known(runner, self.now.monotonic);
            let written = known.map(|known| known.written.clone());
            (points, written, self.relay.called(runner).name)
        });
        let (points, written, name) = known.unwrap_or_default();
        let written = written.unwrap_or_else(|| Written::as_string(&id));
        let body = encode_trail_feature(&id, &written, name, &points);
        Response::geo_json(body, conditions)
    }
}
