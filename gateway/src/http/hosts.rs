//! Which `Host` values are ours, and the base URL that links are built from.
//!
//! Accepted: loopback names, the host of `server.public_url`, and `server.hosts` (DESIGN section 9);
//! anything else is answered 421. Links begin with the URL that the client used.
//! Not here: proxies' forwarding headers.

use crate::config::{Config, ConfigError};

/// The accepted host names.
#[derive(Clone, Debug)]
pub struct Hosts {
    names: Vec<String>,
    public: Option<Public>,
    scheme: &'static str,
}

#[derive(Clone, Debug)]
struct Public {
    host: String,
    url: String,
}

impl Hosts {
    /// From the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] when `server.public_url` is no URL.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let public = config.server.public_url.as_deref().map(Public::parse).transpose()?;
        let mut names: Vec<String> = LOOPBACK.iter().map(|name| (*name).to_owned()).collect();
        names.extend(config.server.hosts.iter().map(|name| name.to_ascii_lowercase()));
        names.extend(public.iter().map(|public| without_port(&public.host).to_owned()));
        Ok(Self { names, public, scheme: if config.serves_tls() { "https" } else { "http" } })
    }

    /// True for a `Host` value of ours; a request without one is not.
    pub fn accepts(&self, host: Option<&str>) -> bool {
        // Links repeat the whole value, so the port must be one.
        let is_port = |rest: &str| {
            rest.is_empty()
                || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        };
        host.is_some_and(|host| {
            let name = without_port(host);
            is_port(&host[name.len()..])
                && self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// URL in front of the path for a request with this accepted `Host`.
    pub fn root(&self, host: &str) -> String {
        match &self.public {
            Some(public) if public.host.eq_ignore_ascii_case(host) => public.url.clone(),
            _ => format!("{}://{host}", self.scheme),
        }
    }
}

impl Public {
    fn parse(url: &str) -> Result<Self, ConfigError> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).filter(|host| !host.is_empty());
        let Some(host) = host else {
            let text = "server.public_url must begin with https:// or http:// and name a host";
            return Err(ConfigError(text.to_owned()));
        };
        Ok(Self { host: host.to_ascii_lowercase(), url: url.trim_end_matches('/').to_owned() })
    }
}

/// `name:8080` → `name`; `[::1]:8080` → `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host.ends_with(']') => &host[..at],
        _ => host,
    }
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn loopback_and_public_names_are_ours_and_others_are_not() {
        let mut config = Config::in_folder(Path::new("x"));
        config.server.public_url = Some("https://fhir.example.org/his".to_owned());

        let hosts = Hosts::of(&config).unwrap();

        assert!(hosts.accepts(Some("127.0.0.1:8080")));
        assert!(hosts.accepts(Some("[::1]:8080")));
        assert!(hosts.accepts(Some("FHIR.example.org")));
        assert!(!hosts.accepts(Some("evil.example.org")));
        assert!(!hosts.accepts(Some("localhost:\"x")));
        assert!(!hosts.accepts(Some("localhost:")));
        assert!(!hosts.accepts(None));
        assert_eq!(hosts.root("fhir.example.org"), "https://fhir.example.org/his");
        assert_eq!(hosts.root("localhost:1"), "http://localhost:1");
    }
}
