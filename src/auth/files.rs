//! Keys out of files: the flags that name them, and a function that reads them as often as it is
//! called. The only room of `auth` that touches the machine.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::{Keys, SigningKey, Token, Unusable, VerifyingKey};

/// Longest key file, in bytes: many times the largest key.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The bits of a file's mode that let everybody read or write it.
const OTHERS_READ_OR_WRITE: u32 = 0o006;

/// The flags that say which tokens are good. Without any there is no authentication.
#[derive(Args, Clone, Debug, Default)]
#[command(group(ArgGroup::new("jwt_keys").multiple(true)))]
pub struct KeyFlags {
    /// File with a secret for HS256 tokens; may be given several times, the newest secret first
    #[arg(long, value_name = "FILE", value_delimiter = ',', group = "jwt_keys")]
    pub jwt_hs256_secret_file: Vec<PathBuf>,

    /// PEM file with a public key for EdDSA (Ed25519), ES256 or RS256 tokens; may be given several times
    #[arg(long, value_name = "FILE", value_delimiter = ',', group = "jwt_keys")]
    pub jwt_public_key_file: Vec<PathBuf>,

    /// Audience that every token must name in its aud
    #[arg(long, value_name = "TEXT", requires = "jwt_keys")]
    pub jwt_audience: Option<String>,

    /// Issuer that every token must have as its iss
    #[arg(long, value_name = "TEXT", requires = "jwt_keys")]
    pub jwt_issuer: Option<String>,
}

/// What the flags came to.
#[derive(Debug)]
pub struct Loaded {
    /// The keys; `None` if the flags name none, which means no authentication.
    pub keys: Option<Keys>,
    /// Lines for the operator about files that work and should be different.
    pub warnings: Vec<String>,
}

impl KeyFlags {
    /// Whether tokens are asked for.
    pub fn are_given(&self) -> bool {
        !self.jwt_hs256_secret_file.is_empty() || !self.jwt_public_key_file.is_empty()
    }

    /// Reads all files that the flags name. One that cannot be used spoils the rest.
    ///
    /// # Errors
    /// A line that names the file and says what to do about it, and shows nothing out of it.
    pub fn load(&self) -> Result<Loaded, String> {
        let mut keys = Vec::new();
        let mut warnings = Vec::new();
        for path in &self.jwt_hs256_secret_file {
            let secret = read_secret(path, &mut warnings)?;
            keys.push(usable(path, VerifyingKey::from_secret(trim(&secret)))?);
        }
        for path in &self.jwt_public_key_file {
            let (text, _) = read_file(path)?;
            keys.push(usable(path, VerifyingKey::from_public_pem(&text))?);
        }
        let (audience, issuer) = (self.jwt_audience.clone(), self.jwt_issuer.clone());
        Ok(Loaded {
            keys: (!keys.is_empty()).then(|| Keys::new(keys, audience, issuer)),
            warnings,
        })
    }

    /// The same for a program that must not wait, as it would for whoever writes into a pipe.
    ///
    /// # Errors
    /// As for [`KeyFlags::load`], and when something is no regular file any more.
    pub fn reload(&self) -> Result<Loaded, String> {
        for path in (self.jwt_hs256_secret_file.iter()).chain(&self.jwt_public_key_file) {
            if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
                return Err(format!("cannot read {} again: no file", path.display()));
            }
        }
        self.load()
    }
}

/// Reads the key that signs tokens: a private key if there is one, or else the first secret.
/// Lines for the operator go to `warnings`.
///
/// # Errors
/// A line as from [`KeyFlags::load`]; also when there is no key, or one of each kind.
pub fn load_signing_key(
    private_key: Option<&Path>,
    secrets: &[PathBuf],
    warnings: &mut Vec<String>,
) -> Result<SigningKey, String> {
    match (private_key, secrets.first()) {
        (Some(path), None) => {
            let text = read_secret(path, warnings)?;
            usable(path, SigningKey::from_private_pem(&text))
        }
        (None, Some(path)) => {
            let secret = read_secret(path, warnings)?;
            usable(path, SigningKey::from_secret(trim(&secret)))
        }
        (Some(_), Some(_)) => Err("one key signs a token: give --jwt-private-key-file \
                                   or --jwt-hs256-secret-file, not both"
            .to_owned()),
        (None, None) => Err(
            "a key to sign with is missing: try --jwt-hs256-secret-file FILE \
                             or --jwt-private-key-file FILE"
                .to_owned(),
        ),
    }
}

/// Reads the same key again, for a program that must not wait, as it would for whoever writes into
/// a pipe; `None` where it is no regular file, which is read only once.
///
/// # Errors
/// As for [`load_signing_key`].
pub fn reload_signing_key(
    private_key: Option<&Path>,
    secrets: &[PathBuf],
) -> Result<Option<SigningKey>, String> {
    let path = private_key.or(secrets.first().map(PathBuf::as_path));
    if path
        .and_then(|path| fs::metadata(path).ok())
        .is_some_and(|metadata| !metadata.is_file())
    {
        return Ok(None);
    }
    load_signing_key(private_key, secrets, &mut Vec::new()).map(Some)
}

/// Reads a token; the newline at the end of the file is not part of it. Lines for the operator go
/// to `warnings`.
///
/// # Errors
/// A line that names the file, when it cannot be read or holds something else than one token.
pub fn load_token(path: &Path, warnings: &mut Vec<String>) -> Result<Token<'static>, String> {
    let bytes = read_secret(path, warnings)?;
    // What stands in a JWT (RFC 7515, 7.1).
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let token = trim(&bytes);
    match str::from_utf8(token) {
        Ok(text) if !text.is_empty() && token.iter().all(is_token) => {
            Ok(Token::new(text.to_owned()))
        }
        _ => Err(format!(
            "{}: this is no token (spectate token makes them)",
            path.display()
        )),
    }
}

fn usable<K>(path: &Path, key: Result<K, Unusable>) -> Result<K, String> {
    key.map_err(|unusable| format!("{}: {unusable}", path.display()))
}

/// Reads a file that nobody else should, and warns if they can.
///
/// # Errors
/// A line that names the file.
pub(crate) fn read_secret(path: &Path, warnings: &mut Vec<String>) -> Result<Vec<u8>, String> {
    let (bytes, mode) = read_file(path)?;
    if mode & OTHERS_READ_OR_WRITE != 0 {
        let shown = path.display();
        warnings.push(format!(
            "{shown}: everybody on this machine can get at this secret: try chmod o= {shown}"
        ));
    }
    Ok(bytes)
}

/// A file's bytes and its mode.
///
/// # Errors
/// A line that names the file.
pub(crate) fn read_file(path: &Path) -> Result<(Vec<u8>, u32), String> {
    let attempt = || -> io::Result<(Vec<u8>, u32)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    let (bytes, mode) = attempt().map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default();
        format!("cannot read {}: {reason}", path.display())
    })?;
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(format!(
            "{}: a key file has at most {KEY_FILE_BYTES_MAX} bytes",
            path.display()
        ));
    }
    Ok((bytes, mode))
}

/// A secret without the newline that an editor or `echo` put behind it.
fn trim(secret: &[u8]) -> &[u8] {
    let without = secret.strip_suffix(b"\r\n");
    without.or(secret.strip_suffix(b"\n")).unwrap_or(secret)
}
