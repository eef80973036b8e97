//! Keys out of PEM files: which algorithm a key is made for, and whether it is strong enough.
//! Says what to do about a file that holds something else.

use std::fmt;

use pkcs8::der::asn1::UintRef;
use pkcs8::der::{Error, Reader, SliceReader, pem};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};

use super::{Algorithm, SECRET_BYTES_MIN};

/// Sizes of RSA keys, in bits: RFC 7518, 3.3 sets the least, ring the most.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

/// Bytes of a P-256 point in full: both coordinates, behind a byte that says so (SEC 1, 2.3.3).
const P256_POINT_BYTES: usize = 65;
const POINT_IN_FULL: u8 = 4;

const ED25519_KEY_BYTES: usize = 32;

/// RFC 8410, 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480, 2.1.1.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480, 2.1.1.1.
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8017, A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Why something cannot be a key. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A secret without bytes.
    Empty,
    /// A secret of so few bytes.
    ShortSecret(usize),
    /// A secret that is a key or a certificate in PEM. Whoever knows a public key could sign with
    /// it, if it were taken for a secret.
    PemAsSecret,
    /// No PEM, or more than one key in it.
    NotPem,
    /// A private key where a public one is wanted.
    Private,
    /// A public key where a private one is wanted.
    Public,
    /// A certificate where a public key is wanted.
    Certificate,
    /// A private key that is not PKCS #8, or is encrypted.
    NotPkcs8,
    /// PEM with something else in it.
    OtherPem,
    /// A key for another algorithm than Ed25519, ECDSA on P-256 and RSA.
    UnknownAlgorithm,
    /// An RSA key of so many bits.
    RsaBits(usize),
    /// A point of which one coordinate is left out.
    CompressedPoint,
    /// The inside of the PEM is not the key that it says.
    Damaged,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unusable::Empty => write!(
                f,
                "it holds no secret: try openssl rand -base64 {SECRET_BYTES_MIN}"
            ),
            Unusable::ShortSecret(bytes) => write!(
                f,
                "a secret of {bytes} bytes can be guessed, {SECRET_BYTES_MIN} are the least: \
                 try openssl rand -base64 {SECRET_BYTES_MIN}"
            ),
            Unusable::PemAsSecret => write!(
                f,
                "it holds a key in PEM, not a secret: try --jwt-public-key-file, or --jwt-private-key-file to sign"
            ),
            Unusable::NotPem => write!(f, "it must hold one key in PEM and nothing else"),
            Unusable::Private => write!(
                f,
                "it holds a private key, and only the public one may be here: try openssl pkey -pubout"
            ),
            Unusable::Public => write!(f, "it holds a public key, and a private one signs"),
            Unusable::Certificate => write!(
                f,
                "it holds a certificate, not a public key: try openssl x509 -pubkey -noout"
            ),
            Unusable::NotPkcs8 => write!(
                f,
                "it is not a private key as PKCS #8 without a password: try openssl pkcs8 -topk8 -nocrypt"
            ),
            Unusable::OtherPem => write!(
                f,
                "it must begin with BEGIN PUBLIC KEY, or BEGIN PRIVATE KEY to sign"
            ),
            Unusable::UnknownAlgorithm => {
                write!(f, "it must be a key for Ed25519, ECDSA on P-256 or RSA")
            }
            Unusable::RsaBits(bits) => write!(
                f,
                "an RSA key of {bits} bits: {RSA_BITS_MIN} to {RSA_BITS_MAX} are taken"
            ),
            Unusable::CompressedPoint => write!(
                f,
                "the point is compressed: try openssl ec -pubin -pubout -conv_form uncompressed"
            ),
            Unusable::Damaged => write!(f, "the key is damaged"),
        }
    }
}

/// What every PEM block begins with, well-formed or not (RFC 7468, 2).
const BEGIN: &[u8] = b"-----BEGIN ";

/// Whether there is PEM in a text, even if it could not be read.
pub(super) fn is_in(text: &[u8]) -> bool {
    text.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// What a PEM block says it holds.
fn label(text: &[u8]) -> Result<&str, Unusable> {
    pem::decode_label(text).map_err(|_| Unusable::NotPem)
}

/// A public key as ring takes it, and what it is made for.
pub(super) fn public_key(text: &[u8]) -> Result<(Algorithm, Vec<u8>), Unusable> {
    let text = text.trim_ascii();
    match label(text)? {
        "PUBLIC KEY" => {}
        "CERTIFICATE" => return Err(Unusable::Certificate),
        other if other.ends_with("PRIVATE KEY") => return Err(Unusable::Private),
        _ => return Err(Unusable::OtherPem),
    }
    let (_, der) = pem::decode_vec(text).map_err(|_| Unusable::NotPem)?;
    let info = SubjectPublicKeyInfoRef::try_from(der.as_slice()).map_err(|_| Unusable::Damaged)?;
    let algorithm = algorithm(&info.algorithm)?;
    let bytes = info
        .subject_public_key
        .as_bytes()
        .ok_or(Unusable::Damaged)?;
    match (algorithm, bytes) {
        (Algorithm::EdDsa, bytes) if bytes.len() == ED25519_KEY_BYTES => {}
        (Algorithm::Es256, [POINT_IN_FULL, ..]) if bytes.len() == P256_POINT_BYTES => {}
        (Algorithm::Es256, [2 | 3, ..]) => return Err(Unusable::CompressedPoint),
        (Algorithm::Rs256, bytes) => {
            let bits = rsa_bits(bytes).ok_or(Unusable::Damaged)?;
            if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                return Err(Unusable::RsaBits(bits));
            }
        }
        _ => return Err(Unusable::Damaged),
    }
    Ok((algorithm, bytes.to_vec()))
}

/// A private key as PKCS #8, and what it is made for.
pub(super) fn private_key(text: &[u8]) -> Result<(Algorithm, Vec<u8>), Unusable> {
    let text = text.trim_ascii();
    match label(text)? {
        "PRIVATE KEY" => {}
        "PUBLIC KEY" => return Err(Unusable::Public),
        other if other.ends_with("PRIVATE KEY") => return Err(Unusable::NotPkcs8),
        _ => return Err(Unusable::OtherPem),
    }
    let (_, der) = pem::decode_vec(text).map_err(|_| Unusable::NotPem)?;
    let info = PrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| Unusable::Damaged)?;
    Ok((algorithm(&info.algorithm)?, der))
}

fn algorithm(identifier: &AlgorithmIdentifierRef) -> Result<Algorithm, Unusable> {
    match identifier.oid {
        ED25519 => Ok(Algorithm::EdDsa),
        EC if identifier.parameters_oid() == Ok(P256) => Ok(Algorithm::Es256),
        RSA => Ok(Algorithm::Rs256),
        _ => Err(Unusable::UnknownAlgorithm),
    }
}

/// The length of an RSA public key's modulus (RSAPublicKey: RFC 8017, A.1.1).
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(der).ok()?;
    let (modulus, _exponent): (UintRef, UintRef) = reader
        .sequence(|key| Ok::<_, Error>((key.decode()?, key.decode()?)))
        .ok()?;
    reader.is_finished().then_some(())?;
    let first = modulus.as_bytes().first()?;
    Some(modulus.as_bytes().len() * 8 - first.leading_zeros() as usize)
}
