//! One runner as bytes and back. What is read is as valid as what was written: ids, names and fixes
//! are made as they are from a message.

use crate::dialect::Dialect;
use crate::fix::{Bounds, Extra, Fix};
use crate::point::TrailPoint;
use crate::relay::heard::LastKnown;
use crate::relay::names::{NamedBy, Names};
use crate::relay::trail::Trail;
use crate::user::{UserId, Written, is_id, is_name};

const HAS_NEWEST: u8 = 1;
const IS_BARE: u8 = 2;
const IS_ESCAPED: u8 = 4;
const HAS_TOKEN_NAME: u8 = 8;
const HAS_HELLO_NAME: u8 = 16;
const HAS_TRAIL: u8 = 32;
const FLAGS: u8 = 63;

/// A runner as it was read.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) id: &'a str,
    /// In milliseconds since the start of 1970 UTC.
    pub(super) received_ms: f64,
    pub(super) dialect: Dialect,
    /// The newest timestamp, in milliseconds too.
    pub(super) newest_ms: Option<f64>,
    pub(super) written: Written,
    pub(super) fix: Fix,
    pub(super) names: Option<Names>,
    /// None if there is no trail.
    pub(super) trail: Vec<TrailPoint>,
}

/// Appends a runner whose last known position this is.
pub(super) fn append(
    id: &str,
    received_ms: f64,
    last: &LastKnown,
    names: Option<&Names>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend([0; 4]);
    append_text(id, out);
    out.extend(received_ms.to_le_bytes());
    let name = |by| names.and_then(|names| names.said_by(by));
    let (by_token, by_hello) = (name(NamedBy::Token), name(NamedBy::Hello));
    let newest_ms = last.clock.newest_ms();
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags = flag(newest_ms.is_some(), HAS_NEWEST)
        | flag(matches!(last.written, Written::Bare), IS_BARE)
        | flag(matches!(last.written, Written::Escaped(_)), IS_ESCAPED)
        | flag(by_token.is_some(), HAS_TOKEN_NAME)
        | flag(by_hello.is_some(), HAS_HELLO_NAME)
        | flag(last.trail.is_some(), HAS_TRAIL);
    out.extend([last.dialect as u8, flags]);
    append_fix(&last.fix, out);
    if let Some(newest_ms) = newest_ms {
        out.extend(newest_ms.to_le_bytes());
    }
    if let Written::Escaped(json) = &last.written {
        // An id of 64 bytes has at most six for each, and its quotes.
        out.extend((json.len() as u16).to_le_bytes());
        out.extend(json.as_bytes());
    }
    for name in [by_token, by_hello].into_iter().flatten() {
        append_text(name, out);
    }
    if let Some(trail) = &last.trail {
        trail.write(out);
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn append_fix(fix: &Fix, out: &mut Vec<u8>) {
    append_text(fix.lat_digits(), out);
    append_text(fix.lng_digits(), out);
    let known = out.len();
    out.push(0);
    for (extra, digits) in fix.extras() {
        out[known] |= 1 << extra as u8;
        append_text(digits, out);
    }
}

/// Ids, names and numbers have at most 64 bytes.
fn append_text(text: &str, out: &mut Vec<u8>) {
    out.push(text.len() as u8);
    out.extend(text.as_bytes());
}

/// Reads a runner, whose bytes these are without their number.
pub(super) fn read(bytes: &[u8]) -> Option<Record<'_>> {
    let mut fields = Fields(bytes);
    let id = fields.text().filter(|id| is_id(id))?;
    let received_ms = fields.number()?;
    let dialect = *Dialect::ALL.get(usize::from(fields.byte()?))?;
    let flags = fields.byte().filter(|flags| flags & !FLAGS == 0)?;
    let has = |flag: u8| flags & flag != 0;
    let fix = read_fix(&mut fields)?;
    let newest_ms = match has(HAS_NEWEST) {
        true => Some(fields.number()?),
        false => None,
    };
    let written = match (has(IS_BARE), has(IS_ESCAPED)) {
        (false, false) if !id.contains(['"', '\\']) => Written::Quoted,
        (true, false) => UserId::from_integer(id)?.written(),
        (false, true) => UserId::from_string(id.into(), fields.long_text()?)?.written(),
        _ => return None,
    };
    let mut names = None;
    for (flag, by) in [
        (HAS_TOKEN_NAME, NamedBy::Token),
        (HAS_HELLO_NAME, NamedBy::Hello),
    ] {
        if has(flag) {
            let name = fields.text().filter(|name| is_name(name))?;
            names.get_or_insert_with(Names::default).set(by, Some(name));
        }
    }
    let trail = match has(HAS_TRAIL) {
        true => Trail::read(fields.rest())?,
        false => Vec::new(),
    };
    fields.is_empty().then_some(Record {
        id,
        received_ms,
        dialect,
        newest_ms,
        written,
        fix,
        names,
        trail,
    })
}

fn read_fix(fields: &mut Fields) -> Option<Fix> {
    let (lat, lng) = (fields.text()?, fields.text()?);
    let known = fields.byte()?;
    let mut extras = [None; Extra::ALL.len()];
    for extra in Extra::ALL {
        if known & 1 << extra as u8 != 0 {
            extras[extra as usize] = Some(fields.text()?);
        }
    }
    Fix::new(Bounds::Finite, Some(lat), Some(lng), |extra| {
        extras[extra as usize]
    })
    .ok()
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A number that is finite.
    fn number(&mut self) -> Option<f64> {
        let number = f64::from_le_bytes(self.array()?);
        number.is_finite().then_some(number)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        str::from_utf8(self.bytes(length.into())?).ok()
    }

    fn long_text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.array()?);
        str::from_utf8(self.bytes(length.into())?).ok()
    }
}
