//! Configuration: one struct, filled from four layers; the only reader of the environment.
//!
//! Precedence: flag, then `SEALWAY_` variable (double underscore nests), then TOML file, then default.
//! Every key is listed once, in [`keys::KEYS`]; an unknown key is an error that names its place and
//! suggests the nearest known one. The origin of every value is kept for `config show --origin`.
//! Not here: what the values mean to their readers.

mod example;
mod hl7v2;
pub mod keys;
mod layer;
mod suggest;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fhir::FullText;
use serde::Deserialize;

use crate::validation::Level;
pub use example::example;
pub use hl7v2::{Hl7v2, SenderZone};

pub use layer::{ConfigError, Loaded, Origin, Setting, Sources, load};

/// Everything a site can set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of database, log, journal and keys.
    pub data_dir: PathBuf,
    /// The HTTP side.
    pub server: Server,
    /// Certificates of the HTTP side.
    pub tls: Tls,
    /// The HL7 v2 listener.
    pub mllp: Mllp,
    /// What is known about HL7 v2 senders.
    pub hl7v2: Hl7v2,
    /// Where metadata is kept.
    pub database: Database,
    /// Where large payloads are kept.
    pub payload: Payload,
    /// Who may come in.
    pub auth: Auth,
    /// The gateway's log.
    pub ledger: Ledger,
    /// Page sizes.
    pub search: Search,
    /// What is checked before it is stored.
    pub validation: Validation,
    /// Codes that are not known here.
    pub terminology: Terminology,
    /// Logs, traces, metrics.
    pub telemetry: Telemetry,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address of the HTTP side; port 0 takes a free one.
    pub listen: SocketAddr,
    /// URL clients use, when it differs from what they put in `Host`; its host is accepted.
    pub public_url: Option<String>,
    /// Further accepted host names.
    pub hosts: Vec<String>,
    /// Worker threads; 0 takes one for each core.
    pub workers: usize,
    /// Largest body of one resource, after decompression.
    pub body_bytes_max: usize,
    /// Largest body of a bundle, after decompression.
    pub bundle_bytes_max: usize,
    /// Memory for all request bodies together; each counts three times, for what is parsed of it.
    pub bodies_bytes_max: usize,
    /// Open connections a worker.
    pub connections_max: usize,
    /// Time for the request head.
    pub header_timeout_ms: u64,
    /// Time for the whole body.
    pub body_timeout_ms: u64,
    /// Time for an answer.
    pub request_timeout_ms: u64,
    /// Time given to running requests at shutdown.
    pub shutdown_timeout_ms: u64,
}

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file, leaf first.
    pub certificate: Option<PathBuf>,
    /// PEM file of the private key.
    pub key: Option<PathBuf>,
}

/// `[mllp]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mllp {
    /// Address of the HL7 v2 listener; unset means none.
    pub listen: Option<SocketAddr>,
    /// PEM file of the authority that signs senders' certificates; needed off loopback.
    pub client_ca: Option<PathBuf>,
    /// Open connections.
    pub connections_max: usize,
    /// Days for which a repeated control id gets its first answer again; 0 keeps answers for ever.
    pub repeats_days: u64,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://…`; unset takes SQLite in the data folder.
    pub url: Option<String>,
    /// Reader threads on SQLite, connections on PostgreSQL; 0 chooses.
    pub readers: usize,
}

/// `[payload]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// `s3://bucket` or a folder; unset takes a folder in the data folder.
    pub url: Option<String>,
    /// File of the key-encryption key; unset takes one in the data folder, made at the first start.
    pub kek: Option<PathBuf>,
    /// Base URL of the S3 API.
    pub s3_endpoint: Option<String>,
    /// Region to sign for.
    pub s3_region: String,
    /// Access key id.
    pub s3_access_key_id: Option<String>,
    /// Secret access key.
    pub s3_secret_access_key: Option<String>,
    /// Hours between two looks for objects that no version needs; 0 never looks.
    pub sweep_hours: u64,
}

/// `[auth]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Starts the built-in development issuer; loopback only.
    pub dev_issuer: bool,
    /// `aud` that tokens must carry; unset takes the base URL.
    pub audience: Option<String>,
    /// Accepted issuers.
    pub issuer: Vec<Issuer>,
}

/// `[[auth.issuer]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Exact `iss`.
    pub issuer: String,
    /// JWKS file.
    pub jwks_file: Option<PathBuf>,
    /// JWKS URL.
    pub jwks_url: Option<String>,
    /// `aud` of this issuer's tokens; unset takes `auth.audience`.
    pub audience: Option<String>,
    /// Claim that holds the role names.
    pub roles_claim: Option<String>,
    /// Values of the header `typ` that its access tokens carry; unset takes `at+jwt`.
    pub token_types: Option<Vec<String>>,
    /// Whether `aud` may be a list that holds the audience.
    pub audience_list: Option<bool>,
}

/// `[ledger]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Name of the log in its checkpoints, for instance `hospital-a.example/sealway`.
    pub origin: String,
    /// Longest time between checkpoints when entries wait.
    pub checkpoint_ms: u64,
    /// The same under load.
    pub checkpoint_loaded_ms: u64,
    /// Entries that may wait while nothing can be sealed; writes are refused from then on.
    pub backlog_max: u64,
}

/// `[search]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Page size when `_count` is absent.
    pub count_default: u32,
    /// Largest page.
    pub count_max: u32,
    /// Resources that one conditional delete may delete.
    pub delete_matches_max: u32,
    /// What of resources is searched by words.
    #[serde(deserialize_with = "full_text")]
    pub full_text: FullText,
}

fn full_text<'de, D: serde::Deserializer<'de>>(value: D) -> Result<FullText, D::Error> {
    let text = String::deserialize(value)?;
    let wrong = || serde::de::Error::custom(format!("{text:?} is not off, narrative or all"));
    FullText::parse(&text).ok_or_else(wrong)
}

/// `[validation]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// What a resource must pass to be stored.
    pub level: Level,
    /// Folder of StructureDefinitions and packages.
    pub profiles: Option<PathBuf>,
}

/// `[terminology]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminology {
    /// Base URL of an external terminology server; unset asks none.
    pub url: Option<String>,
}

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// `auto` (pretty on a terminal), `json` or `pretty`.
    pub log_format: String,
    /// Directive such as `info` or `sealway=debug`.
    pub log_filter: String,
    /// OTLP/HTTP collector, for instance `http://127.0.0.1:4318`; unset exports nothing.
    pub otlp_endpoint: Option<String>,
    /// Share of requests traced without a `traceparent`, 0 to 1 000 per mille.
    pub trace_per_mille: u32,
}

impl Config {
    /// The defaults with another data folder: what tests and the demo start from.
    ///
    /// # Panics
    /// Never: the defaults are tested to load.
    pub fn in_folder(data_dir: &Path) -> Self {
        let sources = Sources::default();
        let mut config = load(&sources).expect("the defaults load").config;
        config.data_dir = data_dir.to_path_buf();
        config
    }

    /// True when the HTTP side has a certificate.
    pub fn serves_tls(&self) -> bool {
        self.tls.certificate.is_some()
    }

    /// Key-encryption key file.
    pub fn kek_file(&self) -> PathBuf {
        self.payload.kek.clone().unwrap_or_else(|| self.data_dir.join("keys/kek"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_load_and_listen_on_loopback() {
        let loaded = load(&Sources::default()).unwrap();

        assert!(loaded.config.server.listen.ip().is_loopback());
        assert_eq!(loaded.settings.len(), keys::KEYS.len());
        assert!(loaded.settings.iter().all(|setting| setting.origin == Origin::Default));
    }

    #[test]
    fn flag_beats_variable_beats_file_beats_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealway.toml");
        std::fs::write(
            &file,
            "[search]\ncount_default = 11\ncount_max = 200\n[mllp]\nconnections_max = 7\n",
        )
        .unwrap();
        let sources = Sources {
            file: Some(file.clone()),
            env: vec![
                ("SEALWAY_SEARCH__COUNT_MAX".into(), "300".into()),
                ("SEALWAY_MLLP__CONNECTIONS_MAX".into(), "8".into()),
            ],
            flags: vec![("mllp.connections_max", "9".into())],
        };

        let loaded = load(&sources).unwrap();

        assert_eq!(loaded.config.search.count_default, 11);
        assert_eq!(loaded.config.search.count_max, 300);
        assert_eq!(loaded.config.mllp.connections_max, 9);
        assert_eq!(loaded.origin("search.count_default"), Some(&Origin::File(file, 2)));
        assert_eq!(loaded.origin("mllp.connections_max"), Some(&Origin::Flag));
    }

    #[test]
    fn mistyped_key_is_refused_with_its_line_and_a_suggestion() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealway.toml");
        std::fs::write(&file, "[server]\nlisen = \"127.0.0.1:1\"\n").unwrap();

        let error = load(&Sources { file: Some(file), ..Sources::default() }).unwrap_err();

        let text = error.to_string();
        assert!(text.contains("sealway.toml:2"), "{text}");
        assert!(text.contains("did you mean server.listen"), "{text}");
    }

    #[test]
    fn mistyped_variable_is_refused_with_a_suggestion() {
        let sources = Sources {
            env: vec![("SEALWAY_SERVER__PUBLIC_URI".into(), "x".into())],
            ..Sources::default()
        };

        let text = load(&sources).unwrap_err().to_string();

        assert!(text.contains("SEALWAY_SERVER__PUBLIC_URI"), "{text}");
        assert!(text.contains("did you mean SEALWAY_SERVER__PUBLIC_URL"), "{text}");
    }

    #[test]
    fn secret_comes_from_a_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://u:p@h/d\n").unwrap();
        let sources = Sources {
            env: vec![("SEALWAY_DATABASE__URL_FILE".into(), file.display().to_string())],
            ..Sources::default()
        };

        let loaded = load(&sources).unwrap();

        assert_eq!(loaded.config.database.url.as_deref(), Some("postgres://u:p@h/d"));
        let shown = loaded.settings.iter().find(|s| s.name == "database.url").unwrap();
        assert_eq!(shown.shown, "(redacted)");
    }
}
