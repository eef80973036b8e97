//! Certificates that tests make for themselves, by a CA of their own.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use time::{Duration, OffsetDateTime};

use crate::scratch::Scratch;

/// A CA that nobody else knows.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: Scratch,
}

/// A certificate for `localhost`, `race.test` and 127.0.0.1 with its key, in files.
pub(crate) struct Pair {
    pub(crate) certificate: Scratch,
    pub(crate) key: Scratch,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Ca {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name = called(&format!("CA {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.self_signed(&key).expect("a key");
        Ca {
            file: Scratch::new(&format!("{name}-ca"), certificate.pem().as_bytes()),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate that ends in so many days, or ended.
    pub(crate) fn issue(&self, name: &str, days: i64) -> Pair {
        self.issue_for(name, days, &KeyPair::generate().expect("random numbers"))
    }

    /// The same for this key.
    pub(crate) fn issue_for(&self, name: &str, days: i64, key: &KeyPair) -> Pair {
        let names = ["localhost", "race.test", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = called("race.test");
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(400);
        // A little more, for a test that takes its time.
        params.not_after = now + Duration::days(days) + Duration::hours(1);
        let certificate = params.signed_by(key, &self.issuer).expect("a key");
        Pair {
            certificate: Scratch::new(&format!("{name}-cert"), certificate.pem().as_bytes()),
            key: Scratch::new(&format!("{name}-key"), key.serialize_pem().as_bytes()),
        }
    }
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

impl Pair {
    /// The flags of a server that speaks TLS with it, on a free port.
    pub(crate) fn flags(&self) -> [&str; 6] {
        [
            "--tls-listen",
            "127.0.0.1:0",
            "--tls-cert-file",
            self.certificate.path(),
            "--tls-key-file",
            self.key.path(),
        ]
    }
}
