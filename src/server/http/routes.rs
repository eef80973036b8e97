//! What a plain request asks for, by its method and target. Knows no headers.

use super::query::IdQuery;
use super::response::{ALLOW, Response};
use crate::server::pages::PageId;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// One of the pages.
    Page(PageId),
    /// Whether the loop turns.
    Healthz,
    /// Whether new connections are welcome.
    Readyz,
    /// The counters.
    Metrics,
    /// Last known positions of these users.
    Positions(IdQuery),
}

impl Route {
    /// Whether pages of other sites may read the answer, as far as their origin may come in.
    pub fn is_for_pages_elsewhere(&self) -> bool {
        matches!(self, Route::Positions(_))
    }
}

/// The route of a plain request.
pub(super) fn route(method: &str, target: &str) -> Result<Route, Response> {
    let path = match (method, target) {
        // The server as a whole (RFC 9110, 9.3.7), of which this is the entrance.
        ("OPTIONS", "*") => "/",
        _ => path(target),
    };
    let route = match path {
        "/healthz" => Route::Healthz,
        "/readyz" => Route::Readyz,
        "/metrics" => Route::Metrics,
        "/positions" => Route::Positions(IdQuery::of(target)),
        _ => Route::Page(PageId::at(path).ok_or_else(|| {
            Response::refuse(
                "404 Not Found",
                "",
                "nothing is here; there are /, /setup, /healthz, /readyz, /metrics and /positions, and WebSockets on any path",
            )
        })?),
    };
    match method {
        "GET" | "HEAD" | "OPTIONS" => Ok(route),
        _ => Err(Response::refuse(
            "405 Method Not Allowed",
            ALLOW,
            "use GET or HEAD",
        )),
    }
}

/// The path of a request target in origin form or in absolute form (RFC 9112, 3.2).
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}
