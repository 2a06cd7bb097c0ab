//! Every configuration key, once: name, kind, default, whether it is secret, and what it does.
//!
//! The rows fill `Config`, its origins, `config show`, `config example` and the "did you mean" suggestions.
//! Not here: reading the layers (`layer`).

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Default in the form a variable would have; empty means unset (or an empty list).
    pub default: &'static str,
    /// A value for the example file, where there is no default.
    pub example: &'static str,
    /// Its value is never printed.
    pub secret: bool,
    /// One line for people.
    pub help: &'static str,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Text, also paths, addresses and URLs.
    Text,
    /// Whole number, not negative.
    Number,
    /// `true` or `false`.
    Flag,
    /// List of texts; separated by commas in a variable.
    List,
    /// List of tables; only in the file.
    Tables,
}

/// All keys, by name within their section.
pub const KEYS: &[Key] = &[
    text("data_dir", "sealway-data", "folder of database, log, journal and keys"),
    text("server.listen", "127.0.0.1:8080", "address of the HTTP side; port 0 takes a free one"),
    unset(
        "server.public_url",
        "https://fhir.hospital-a.example",
        "URL that clients use, when a proxy changes it",
    ),
    list("server.hosts", "fhir.hospital-a.example,10.0.0.5", "further accepted host names"),
    number("server.workers", "0", "worker threads; 0 takes one for each core"),
    number("server.body_bytes_max", "33554432", "largest body of one resource, decompressed"),
    number("server.bundle_bytes_max", "33554432", "largest body of a bundle, decompressed"),
    number(
        "server.bodies_bytes_max",
        "201326592",
        "memory for all request bodies, which count three times",
    ),
    number("server.connections_max", "4096", "open connections a worker"),
    number("server.header_timeout_ms", "10000", "time for the request head"),
    number("server.body_timeout_ms", "60000", "time for the whole body"),
    number("server.request_timeout_ms", "300000", "time for an answer"),
    number("server.shutdown_timeout_ms", "10000", "time given to running requests at shutdown"),
    unset(
        "tls.certificate",
        "/etc/sealway/chain.pem",
        "PEM file of the certificate chain, leaf first",
    ),
    unset("tls.key", "/etc/sealway/key.pem", "PEM file of the private key"),
    unset("mllp.listen", "127.0.0.1:2575", "address of the HL7 v2 listener; unset means none"),
    text("mllp.client_ca", "", "PEM file of the authority that signs senders' certificates"),
    number("mllp.connections_max", "256", "open HL7 v2 connections"),
    number(
        "mllp.repeats_days",
        "90",
        "days for which a repeated control id gets its first answer; 0 keeps answers for ever",
    ),
    unset(
        "hl7v2.zone",
        "Europe/Berlin",
        "zone of senders' times without a UTC offset: a name, +01:00 or a POSIX TZ rule",
    ),
    list(
        "hl7v2.sender_zones",
        "LAB|NORTH=Europe/London,|SOUTH=America/New_York",
        "zones of single senders: MSH-3|MSH-4=zone; an empty side is any",
    ),
    secret(
        "database.url",
        "postgres://sealway@db.hospital-a.example/sealway",
        "postgres://…; unset takes SQLite in the data folder",
    ),
    number("database.readers", "0", "reader threads or connections; 0 chooses"),
    unset("payload.url", "s3://sealway", "s3://bucket or a folder for large payloads"),
    number(
        "payload.sweep_hours",
        "24",
        "hours between looks for objects that no version needs; 0 never looks",
    ),
    unset("payload.kek", "/etc/sealway/kek", "file of the key-encryption key"),
    unset(
        "payload.s3_endpoint",
        "https://s3.hospital-a.example",
        "base URL of the S3 API, for payload.url = s3://bucket",
    ),
    text("payload.s3_region", "us-east-1", "region that S3 requests are signed for"),
    unset("payload.s3_access_key_id", "sealway", "S3 access key id"),
    secret(
        "payload.s3_secret_access_key",
        "better in a file: s3_secret_access_key_file",
        "S3 secret access key",
    ),
    flag("auth.dev_issuer", "false", "start the development issuer (loopback only)"),
    unset(
        "auth.audience",
        "https://fhir.hospital-a.example/fhir",
        "aud that tokens must carry; unset takes the base URL",
    ),
    Key {
        name: "auth.issuer",
        kind: Kind::Tables,
        default: "",
        example: "",
        secret: false,
        help: "accepted issuers of tokens, as many tables as there are",
    },
    text("ledger.origin", "sealway.local/gateway", "name of the log in its checkpoints"),
    number("ledger.checkpoint_ms", "1000", "longest time between checkpoints when entries wait"),
    number("ledger.checkpoint_loaded_ms", "200", "the same under load"),
    number(
        "ledger.backlog_max",
        "100000",
        "entries that may wait for sealing; then writes are refused",
    ),
    number("search.count_default", "50", "page size when _count is absent"),
    number("search.count_max", "1000", "largest page"),
    number(
        "search.delete_matches_max",
        "1",
        "resources that one conditional delete may delete; 1 refuses several matches",
    ),
    text(
        "search.full_text",
        "narrative",
        "what is searched by words: off, narrative (_text) or all (_content too); needs `sealway reindex` when changed",
    ),
    unset(
        "terminology.url",
        "https://tx.hospital-a.example/fhir",
        "external terminology server, asked about what is not known here; unset asks none",
    ),
    text("telemetry.log_format", "auto", "auto, json or pretty"),
    text(
        "telemetry.log_filter",
        "info,actix_server=warn",
        "log directives, for instance info,gateway=debug",
    ),
    unset(
        "telemetry.otlp_endpoint",
        "http://127.0.0.1:4318",
        "OTLP/HTTP collector; unset exports nothing",
    ),
    number("telemetry.trace_per_mille", "100", "share of requests traced without a traceparent"),
    text(
        "validation.level",
        "syntax",
        "what a write must pass: syntax, base (R4's rules) or profile",
    ),
    unset(
        "validation.profiles",
        "/etc/sealway/profiles",
        "folder of StructureDefinitions (.json) and packages (.tgz)",
    ),
];

/// Keys of one `[[auth.issuer]]` table.
pub const ISSUER_KEYS: &[Key] = &[
    unset("issuer", "https://login.hospital-a.example", "exact iss of its tokens"),
    unset(
        "jwks_url",
        "https://login.hospital-a.example/jwks",
        "its keys; this or jwks_file, not both",
    ),
    unset("jwks_file", "/etc/sealway/jwks.json", "its keys as a file"),
    unset(
        "audience",
        "https://fhir.hospital-a.example/fhir",
        "aud of its tokens; unset takes auth.audience",
    ),
    unset(
        "roles_claim",
        "roles",
        "claim with the role names: clinician, patient, system, auditor, operator",
    ),
    list(
        "token_types",
        "at+jwt,JWT",
        "typ that its access tokens carry; unset takes at+jwt alone (docs/tokens.md before adding JWT)",
    ),
    flag("audience_list", "false", "take an aud that is a list with the audience in it"),
];

/// Variables with our prefix that are not configuration: client commands and tests read them.
pub const OTHER_VARIABLES: &[&str] = &[
    "SEALWAY_CONFIG",
    "SEALWAY_URL",
    "SEALWAY_TOKEN",
    "SEALWAY_TOKEN_FILE",
    "SEALWAY_SHARED",
    "SEALWAY_TRUST",
    "SEALWAY_MLLP",
];

/// The key of this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("SEALWAY_{}", self.name.to_uppercase().replace('.', "__"))
    }
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Text, default, example: "", secret: false, help }
}

/// Text without a default.
const fn unset(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { example, ..text(name, "", help) }
}

const fn secret(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { secret: true, ..unset(name, example, help) }
}

const fn number(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { kind: Kind::Number, ..text(name, default, help) }
}

const fn flag(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { kind: Kind::Flag, ..text(name, default, help) }
}

const fn list(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { kind: Kind::List, ..unset(name, example, help) }
}
