//! Until when a certificate holds, by its own word (RFC 5280, 4.1). Pure.

use pkcs8::der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use pkcs8::der::{Decode, Error, Reader, SliceReader, Tag, TagNumber};

/// When a certificate in DER ends, in seconds since the start of 1970 UTC.
///
/// # Errors
/// If it is none.
pub(super) fn ends_at_s(certificate: &[u8]) -> Result<u64, Error> {
    SliceReader::new(certificate)?.sequence(|certificate| {
        let end = certificate.sequence(end_of_content)?;
        pass(certificate)?;
        Ok(end)
    })
}

/// The same, of what the signature of the certificate is for.
fn end_of_content(content: &mut SliceReader) -> Result<u64, Error> {
    let version = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber(0),
    };
    if Tag::peek(content)? == version {
        AnyRef::decode(content)?;
    }
    // The serial number, how it is signed, and by whom.
    for _ in 0..3 {
        AnyRef::decode(content)?;
    }
    let end = content.sequence(|validity| {
        time_s(validity)?;
        time_s(validity)
    })?;
    pass(content)?;
    Ok(end)
}

/// Passes over what is left, which is for others to judge.
fn pass(reader: &mut SliceReader) -> Result<(), Error> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

/// Years up to 2049 have two digits, later ones four.
fn time_s(reader: &mut SliceReader) -> Result<u64, Error> {
    let time = match Tag::peek(reader)? {
        Tag::GeneralizedTime => GeneralizedTime::decode(reader)?.to_unix_duration(),
        _ => UtcTime::decode(reader)?.to_unix_duration(),
    };
    Ok(time.as_secs())
}
