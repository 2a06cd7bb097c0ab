//! TLS for both sides: rustls with the one provider of the tree (aws-lc-rs).
//!
//! Rule (DESIGN section 9): plain HTTP is served on loopback only; anywhere else `serve` refuses to run
//! without a certificate. HL7 v2 senders have no tokens, so off loopback they show a certificate of their own
//! (IHE ITI TF-2 3.19, Authenticate Node). TLS 1.2 and 1.3, HTTP/2 by ALPN.
//! Not here: renewal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{ConfigError, Mllp, Tls};

/// The server's TLS side; `None` when `listen` is loopback and no certificate is set.
///
/// # Errors
/// [`ConfigError`] when a certificate is needed and missing, or cannot be read.
pub fn server_config(tls: &Tls, listen: SocketAddr) -> Result<Option<ServerConfig>, ConfigError> {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => load(certificate, key, None).map(Some),
        (None, None) if listen.ip().is_loopback() => Ok(None),
        (None, None) => Err(ConfigError(format!(
            "server.listen is {listen}, which others can reach, and there is no certificate: set tls.certificate \
             and tls.key (PEM files), or listen on 127.0.0.1 behind a proxy that speaks TLS"
        ))),
        _ => Err(ConfigError("set both tls.certificate and tls.key, or neither".to_owned())),
    }
}

/// The TLS side of the HL7 v2 listener; `None` on loopback without `mllp.client_ca`.
///
/// # Errors
/// [`ConfigError`] when others can reach the address and senders would not be known, or a file cannot be read.
pub fn mllp_config(
    tls: &Tls,
    mllp: &Mllp,
    listen: SocketAddr,
) -> Result<Option<ServerConfig>, ConfigError> {
    let Some(authority) = &mllp.client_ca else {
        if listen.ip().is_loopback() {
            return Ok(None);
        }
        return Err(ConfigError(format!(
            "mllp.listen is {listen}, which others can reach, and nothing tells its senders apart: set mllp.client_ca \
             (PEM file of the authority that signs their certificates), or listen on 127.0.0.1 behind a relay"
        )));
    };
    let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
        return Err(ConfigError("mllp.client_ca needs tls.certificate and tls.key".to_owned()));
    };
    load(certificate, key, Some(authority)).map(Some)
}

fn load(
    certificate: &Path,
    key: &Path,
    authority: Option<&Path>,
) -> Result<ServerConfig, ConfigError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("tls.certificate", certificate, &error))?;
    if chain.is_empty() {
        return Err(ConfigError(format!("tls.certificate: {} holds none", certificate.display())));
    }
    let key_der =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("tls.key", key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = authority.map(client_verifier).transpose()?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = match clients {
                Some(clients) => builder.with_client_cert_verifier(clients),
                None => builder.with_no_client_auth(),
            };
            builder.with_single_cert(chain, key_der)
        })
        .map_err(|error| ConfigError(format!("tls: certificate and key do not fit: {error}")))
}

/// Senders whose certificate was signed by one of the authorities in the file.
fn client_verifier(authority: &Path) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let refused = |error: &dyn std::fmt::Display| unreadable("mllp.client_ca", authority, error);
    let mut roots = rustls::RootCertStore::empty();
    for one in CertificateDer::pem_file_iter(authority).map_err(|error| refused(&error))? {
        let one = one.map_err(|error| refused(&error))?;
        roots.add(one).map_err(|error| refused(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| refused(&error))
}

fn unreadable(name: &str, path: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError(format!("{name}: cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_others_can_reach_needs_a_certificate() {
        let none = Tls { certificate: None, key: None };

        let open = server_config(&none, "0.0.0.0:8080".parse().unwrap());
        let loopback = server_config(&none, "127.0.0.1:8080".parse().unwrap());

        assert!(open.unwrap_err().to_string().contains("tls.certificate"));
        assert!(loopback.unwrap().is_none());
    }

    #[test]
    fn a_fresh_certificate_loads() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = folder.path().join("cert.pem");
        let key = folder.path().join("key.pem");
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = Tls { certificate: Some(certificate), key: Some(key) };

        let config = server_config(&tls, "0.0.0.0:8443".parse().unwrap());

        assert!(config.unwrap().is_some());
    }
}
