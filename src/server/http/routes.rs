//! What a plain request asks for, by its method and target. Knows no headers.

use super::fields::query;
use super::link::LinkQuery;
use super::query::IdQuery;
use super::response::Response;
use crate::phones;
use crate::server::pages::PageId;

/// What may be done with what is read alone.
const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";

/// What may be done where positions are reported too.
const ALLOW_REPORTS: &str = "Allow: GET, HEAD, POST, OPTIONS\r\n";

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
    /// The trail of this user.
    Trail(IdQuery),
    /// The way that the runners take.
    Course,
    /// A code of a link.
    Qr(LinkQuery),
    /// Who is on the roster.
    Roster,
    /// Positions that an app reports.
    Report,
}

impl Route {
    /// Whether pages of other sites may read the answer, as far as their origin may come in.
    pub fn is_for_pages_elsewhere(&self) -> bool {
        matches!(
            self,
            Route::Positions(_) | Route::Trail(_) | Route::Roster | Route::Course
        )
    }

    /// Whether pages of any site may read the answer, who may come in or not.
    pub fn is_public(&self) -> bool {
        matches!(self, Route::Course)
    }

    /// What may be done with it, as a header line.
    pub fn allow(&self) -> &'static str {
        match self {
            Route::Report => ALLOW_REPORTS,
            Route::Page(page) if Some(*page) == PageId::at("/") => ALLOW_REPORTS,
            _ => ALLOW,
        }
    }
}

/// The route of a plain request.
pub(super) fn route(method: &str, target: &str) -> Result<Route, Response> {
    let path = match (method, target) {
        // The server as a whole (RFC 9110, 9.3.7), of which this is the entrance.
        ("OPTIONS", "*") => "/",
        _ => path(target),
    };
    if let Some(route) = route_of_report(method, path, query(target)) {
        return route;
    }
    let route = match path {
        "/healthz" => Route::Healthz,
        "/readyz" => Route::Readyz,
        "/metrics" => Route::Metrics,
        "/roster" => Route::Roster,
        "/positions" => Route::Positions(IdQuery::of(target)),
        "/trail" => Route::Trail(IdQuery::of(target)),
        "/course" => Route::Course,
        "/qr" => Route::Qr(LinkQuery::of(target)),
        _ => Route::Page(PageId::at(path).ok_or_else(|| {
            Response::refuse(
                "404 Not Found",
                "",
                "nothing is here; there are /, /setup, /spectate.js, /track, /course, /qr, /healthz, /readyz, /metrics, /positions, /trail and /roster, and WebSockets on any path",
            )
        })?),
    };
    match method {
        "GET" | "HEAD" | "OPTIONS" => Ok(route),
        _ => Err(not_allowed(&route)),
    }
}

/// The route of a request where apps report positions, unless it asks for the page that is there
/// too.
fn route_of_report(method: &str, path: &str, query: &str) -> Option<Result<Route, Response>> {
    let is_track = path == "/track" || path.starts_with("/track/");
    if !is_track && !["/", "/pub"].contains(&path) {
        return None;
    }
    let is_report = match method {
        "POST" => true,
        "GET" | "HEAD" => phones::has_coordinates(query) || (is_track && phones::has_id(query)),
        "OPTIONS" => path != "/",
        _ => return Some(Err(not_allowed(&Route::Report))),
    };
    match is_report {
        true => Some(Ok(Route::Report)),
        false if path == "/" => None,
        false => Some(Err(Response::bad_request(
            "apps report positions here: POST them, or GET /track?id=5&lat=1.5&lon=2.5",
        ))),
    }
}

fn not_allowed(route: &Route) -> Response {
    let uses = match route {
        Route::Report => "use POST, or GET with coordinates",
        _ => "use GET or HEAD",
    };
    Response::refuse("405 Method Not Allowed", route.allow(), uses)
}

/// The path of a request target in origin form or in absolute form (RFC 9112, 3.2).
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}
