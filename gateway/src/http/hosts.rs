//! Which `Host` values are ours, the base URL that links are built from, and all those that name our resources.
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
    /// Where we listen; 0 when that is known only at run time.
    port: u16,
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
        let scheme = if config.serves_tls() { "https" } else { "http" };
        Ok(Self { names, public, scheme, port: config.server.listen.port() })
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

    /// All base URLs of this server for a request with this accepted `Host`, for [`fhir::below_base`]: both paths below
    /// the host as the client names it, the public URL, and every name of ours at the client's port and at our own.
    pub fn bases(&self, host: &str) -> String {
        let clients = &host[without_port(host).len()..];
        let own = format!(":{}", self.port);
        let ports = [Some(clients), Some(&*own).filter(|own| self.port != 0 && *own != clients)];
        let mut roots = vec![self.root(host)];
        roots.extend(self.public.iter().map(|public| public.url.clone()));
        for port in ports.into_iter().flatten() {
            roots.extend(self.names.iter().map(|name| format!("{}://{name}{port}", self.scheme)));
        }
        let mut bases = String::with_capacity(roots.len() * 64);
        for (at, root) in roots.iter().enumerate() {
            if roots[..at].contains(root) {
                continue;
            }
            for path in PATHS {
                bases.extend([root.as_str(), path, " "]);
            }
        }
        bases
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

/// Paths of the FHIR service; the first is that of links which no client's request has.
pub const PATHS: [&str; 2] = ["/fhir", "/fhir/R4"];
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

    #[test]
    fn every_name_of_ours_is_a_base_at_the_clients_port_and_at_our_own() {
        let mut config = Config::in_folder(Path::new("x"));
        config.server.listen = "127.0.0.1:8080".parse().unwrap();
        config.server.public_url = Some("https://fhir.example.org/his".to_owned());
        config.server.hosts = vec!["fhir.lan".to_owned()];

        let bases = Hosts::of(&config).unwrap().bases("localhost:9000");

        assert_eq!(fhir::first_base(&bases), "http://localhost:9000/fhir");
        for own in [
            "http://localhost:9000/fhir/R4",
            "https://fhir.example.org/his/fhir",
            "http://127.0.0.1:9000/fhir",
            "http://fhir.lan:8080/fhir/R4",
            "http://[::1]:8080/fhir",
        ] {
            let url = format!("{own}/Patient/1");
            assert_eq!(fhir::below_base(&url, &bases), Some("Patient/1"), "{own}");
        }
        for other in ["http://localhost:9001/fhir", "https://fhir.example.org/fhir"] {
            assert_eq!(fhir::below_base(&format!("{other}/Patient/1"), &bases), None, "{other}");
        }
    }
}
