//! TLS for the HTTP side: rustls with the one provider of the tree (aws-lc-rs).
//!
//! Rule (DESIGN section 9): plain HTTP is served on loopback only; anywhere else `serve` refuses to run
//! without a certificate. TLS 1.2 and 1.3, HTTP/2 by ALPN.
//! Not here: client certificates, renewal.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{ConfigError, Tls};

/// The server's TLS side; `None` when `listen` is loopback and no certificate is set.
///
/// # Errors
/// [`ConfigError`] when a certificate is needed and missing, or cannot be read.
pub fn server_config(tls: &Tls, listen: SocketAddr) -> Result<Option<ServerConfig>, ConfigError> {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => load(certificate, key).map(Some),
        (None, None) if listen.ip().is_loopback() => Ok(None),
        (None, None) => Err(ConfigError(format!(
            "server.listen is {listen}, which others can reach, and there is no certificate: set tls.certificate \
             and tls.key (PEM files), or listen on 127.0.0.1 behind a proxy that speaks TLS"
        ))),
        _ => Err(ConfigError("set both tls.certificate and tls.key, or neither".to_owned())),
    }
}

fn load(certificate: &Path, key: &Path) -> Result<ServerConfig, ConfigError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("tls.certificate", certificate, &error))?;
    if chain.is_empty() {
        return Err(ConfigError(format!("tls.certificate: {} holds none", certificate.display())));
    }
    let key_der =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("tls.key", key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_der))
        .map_err(|error| ConfigError(format!("tls: certificate and key do not fit: {error}")))
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
