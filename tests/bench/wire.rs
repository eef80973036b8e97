//! The bytes on the wire, in the fixed shape that load and floors share: a position always has
//! the same length, and carries the runner and a sequence number in digits at fixed places.

/// Runners are numbered from 0 here; on the wire each id has the same six digits.
pub(crate) const FIRST_ID: u32 = 100_000;

/// Runners that six digits have room for.
pub(crate) const RUNNERS_MAX: usize = 900_000;

/// Bytes of a position: `{"userId":100007,"lat":45.000000,"lng":12.000003}`.
pub(crate) const POSITION_BYTES: usize = 49;

/// Bytes of the frame in which a follower gets a position.
pub(crate) const POSITION_FRAME_BYTES: usize = 2 + POSITION_BYTES;

const HEAD: &[u8] = b"{\"userId\":";
const LAT: &[u8] = b",\"lat\":45.";
const LNG: &[u8] = b",\"lng\":12.";
const DIGITS: usize = 6;
const LAT_AT: usize = HEAD.len() + DIGITS;
const LNG_AT: usize = LAT_AT + LAT.len() + DIGITS;
const END_AT: usize = LNG_AT + LNG.len() + DIGITS;

/// What clients mask with. RFC 6455 wants a random mask against proxies; there is none here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// An upgrade with the key of RFC 6455, 1.3, which fixes the answer.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The answer to [`REQUEST`].
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What an answer must contain to accept [`REQUEST`].
pub(crate) const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The message with which a runner says where it is for the `number`th time.
pub(crate) fn position(runner: u32, number: u64) -> [u8; POSITION_BYTES] {
    let mut message = *b"{\"userId\":000000,\"lat\":45.000000,\"lng\":12.000000}";
    write_digits(
        &mut message[HEAD.len()..LAT_AT],
        u64::from(FIRST_ID + runner),
    );
    write_digits(&mut message[LAT_AT + LAT.len()..LNG_AT], number / 1_000_000);
    write_digits(&mut message[LNG_AT + LNG.len()..END_AT], number % 1_000_000);
    message
}

/// Runner and sequence number of a position; `None` for any other message.
pub(crate) fn read_position(message: &[u8]) -> Option<(u32, u64)> {
    let message: &[u8; POSITION_BYTES] = message.try_into().ok()?;
    let id = runner_of(message)?;
    if &message[LAT_AT..LAT_AT + LAT.len()] != LAT
        || &message[LNG_AT..LNG_AT + LNG.len()] != LNG
        || message[END_AT] != b'}'
    {
        return None;
    }
    let high = read_digits(&message[LAT_AT + LAT.len()..LNG_AT])?;
    let low = read_digits(&message[LNG_AT + LNG.len()..END_AT])?;
    Some((id, u64::from(high) * 1_000_000 + u64::from(low)))
}

/// The same of a position with more fields, whose id is a string.
pub(crate) fn read_long_position(message: &[u8]) -> Option<(u32, u64)> {
    let rest = message.strip_prefix(b"{\"userId\":\"")?;
    let (id, rest) = rest.split_at_checked(DIGITS)?;
    let (high, rest) = (rest.strip_prefix(b"\"")?.strip_prefix(LAT)?).split_at_checked(DIGITS)?;
    let (low, rest) = rest.strip_prefix(LNG)?.split_at_checked(DIGITS)?;
    rest.starts_with(b",").then_some(())?;
    let number = u64::from(read_digits(high)?) * 1_000_000 + u64::from(read_digits(low)?);
    Some((read_digits(id)?.checked_sub(FIRST_ID)?, number))
}

/// Opcode and payload of a server's frame, and what comes behind it; `None` if it is not all here.
pub(crate) fn split_server_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, length, rest) = match bytes {
        [first, 126, high, low, rest @ ..] => (first, u16::from_be_bytes([*high, *low]), rest),
        [first, length @ 0..126, rest @ ..] => (first, u16::from(*length), rest),
        _ => return None,
    };
    let (payload, rest) = rest.split_at_checked(length.into())?;
    Some((*first, payload, rest))
}

/// The runner of a position; `None` for any other message.
pub(crate) fn runner_of(message: &[u8; POSITION_BYTES]) -> Option<u32> {
    if &message[..HEAD.len()] != HEAD {
        return None;
    }
    read_digits(&message[HEAD.len()..LAT_AT])?.checked_sub(FIRST_ID)
}

/// A hello of a user, or of a spectator, that follows these runners.
pub(crate) fn hello(user: Option<u32>, following: &[u32]) -> String {
    let user = user.map_or(String::new(), |user| {
        format!("\"userId\":{},", FIRST_ID + user)
    });
    let ids = ids(following);
    format!("{{\"initialRequest\":true,{user}\"following\":[{ids}]}}")
}

/// The message that ends these follows.
pub(crate) fn unfollow(runners: &[u32]) -> String {
    format!("{{\"unfollow\":[{}]}}", ids(runners))
}

/// A runner's id on the wire.
pub(crate) fn id(runner: u32) -> String {
    (FIRST_ID + runner).to_string()
}

fn ids(runners: &[u32]) -> String {
    let ids: Vec<String> = runners.iter().map(|&runner| id(runner)).collect();
    ids.join(",")
}

/// The runners of a list of ids, up to its `]`.
pub(crate) fn read_ids(list: &[u8]) -> impl Iterator<Item = u32> {
    list.split(|&byte| byte == b']')
        .next()
        .unwrap_or_default()
        .split(|&byte| byte == b',')
        .filter_map(|id| read_digits(id)?.checked_sub(FIRST_ID))
}

/// Where in `bytes` the text ends, if it is there.
pub(crate) fn end_of(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes
        .windows(text.len())
        .position(|window| window == text)
        .map(|start| start + text.len())
}

/// Most bytes before the payload of a client's frame, of those that are sent here.
pub(crate) const CLIENT_HEAD_BYTES_MAX: usize = 8;

/// Appends a client's frame.
pub(crate) fn append_client_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        long => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    unmask(&mut out[start..], MASK);
}

/// Takes the mask off (or puts it on).
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[index & 3];
    }
}

fn write_digits(to: &mut [u8], mut number: u64) {
    for digit in to.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn read_digits(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}
