//! HTTP as far as it is served: request heads, what they ask for, who asks, and answers. Knows no
//! sockets and nobody's data.

mod allowed_origin;
mod body;
mod conditions;
mod fields;
mod handshake;
mod head;
mod link;
mod origin;
mod query;
mod report;
mod request;
mod response;
mod routes;
mod web_origin;

pub(crate) use allowed_origin::{AllowedOrigin, frame_ancestors};
pub use body::{BODY_BYTES_MAX, Body, Framing};
pub use conditions::Conditions;
pub use head::{
    CompleteHead, HEAD_BYTES_MAX, HEADERS_MAX, Head, RefusedRequest, https_required, parse,
};
pub use link::{LINK_BYTES_MAX, LinkQuery};
pub use origin::Origin;
pub use query::{Asked, IdQuery};
pub use report::{Credentials, Report};
pub use request::{Request, Shown};
pub use response::Response;
pub use routes::Route;
