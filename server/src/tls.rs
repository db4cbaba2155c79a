//! TLS of both doors: a certificate chain and its key, read again when they are told to. Called by
//! `serve`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificate in force, for connections that begin.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// Why there is no certificate to go by.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or that holds something else.
    #[error("read {}: {source}; it must hold {wanted} in PEM", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        wanted: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// No certificate in the file.
    #[error("read {}: there is no certificate in it", .0.display())]
    Empty(PathBuf),
    /// They do not belong together, or cannot be used.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// Reads a certificate chain, the server's own first, and its key.
    pub fn open(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        let current = Arc::new(Current(RwLock::new(Arc::new(read(certificate, key)?))));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| pair(certificate, key, source))?;
        let resolver: Arc<dyn ResolvesServerCert> = current.clone();
        let config = builder.with_no_client_auth().with_cert_resolver(resolver);
        Ok(Tls {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current,
            config: Arc::new(config),
        })
    }

    /// Reads both files again. What cannot be read leaves those in force; connections go on with
    /// the certificate that they began with.
    pub fn reload(&self) -> Result<(), TlsError> {
        let renewed = Arc::new(read(&self.certificate, &self.key)?);
        *self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// For whoever accepts connections.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(held.clone())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let file = |path: &Path, wanted| {
        let path = path.to_owned();
        move |source| TlsError::File {
            path,
            wanted,
            source,
        }
    };
    let wanted = "a certificate chain";
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(file(certificate, wanted))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(file(key, "a private key"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider())
        .map_err(|source| pair(certificate, key, source))
}

fn pair(certificate: &Path, key: &Path, source: rustls::Error) -> TlsError {
    TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    }
}
