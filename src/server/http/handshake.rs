//! WebSocket handshakes (RFC 6455, 4.2). Knows nothing of what comes after.

use httparse::Header;
use tungstenite::handshake::derive_accept_key;

use super::fields::{bearer, has_token, list_items, origin, token, values};
use super::request::{Request, Shown};
use super::response::Response;

/// The subprotocol that is answered to whoever offers it.
const SUBPROTOCOL: &str = "spectate.v1";

/// What a token follows among the subprotocols: the one thing that a page can put into a
/// handshake.
const SUBPROTOCOL_TOKEN: &str = "bearer.";

/// Whether the request is one for a WebSocket, right or wrong.
pub(super) fn is_asked_for(headers: &[Header]) -> bool {
    has_token(headers, "upgrade", "websocket")
}

/// Checks a WebSocket handshake (RFC 6455, 4.2.1).
pub(super) fn read(method: &str, is_1_1: bool, headers: &[Header]) -> Result<Request, Response> {
    if method != "GET" {
        return Err(Response::refuse(
            "405 Method Not Allowed",
            "Allow: GET\r\n",
            "a WebSocket handshake is a GET",
        ));
    }
    if !is_1_1 {
        return Err(Response::bad_request(
            "a WebSocket handshake needs HTTP/1.1",
        ));
    }
    if !has_token(headers, "connection", "upgrade") {
        return Err(Response::bad_request(
            "a WebSocket handshake needs Connection: Upgrade",
        ));
    }
    if !values(headers, "sec-websocket-version").eq([&b"13"[..]]) {
        return Err(Response::refuse(
            "426 Upgrade Required",
            "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
            "a WebSocket handshake needs one Sec-WebSocket-Version: 13",
        ));
    }
    let mut keys = values(headers, "sec-websocket-key");
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if is_nonce(key) => key,
        _ => {
            return Err(Response::bad_request(
                "a WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes in base64",
            ));
        }
    };
    let offered =
        list_items(headers, "sec-websocket-protocol").any(|token| token == SUBPROTOCOL.as_bytes());
    let protocol = if offered {
        format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n")
    } else {
        String::new()
    };
    let accept = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
        derive_accept_key(key)
    );
    Ok(Request::Upgrade {
        accept: accept.into_bytes(),
        origin: origin(headers),
        token: bearer(headers).map(Shown::Header).or_else(|| {
            list_items(headers, "sec-websocket-protocol")
                .find_map(|token| token.strip_prefix(SUBPROTOCOL_TOKEN.as_bytes()))
                .map(|text| Shown::Subprotocol(token(text)))
        }),
    })
}

/// Whether this is what 16 bytes look like in base64: 22 digits and two signs of padding.
fn is_nonce(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==") else {
        return false;
    };
    digits.len() == 22
        && digits
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}
