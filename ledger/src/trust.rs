//! The trust file: which logs a verifier believes, by which keys, and how many witnesses it wants.
//!
//! Format: JSON, schema `sealway.trust/v1`, written by people and therefore free in its spacing; unknown fields are refused.
//! Keys are C2SP verifier keys. A log's keys carry its origin as their name. If a timestamping key is listed for a log,
//! its checkpoints must carry the time. Not here: the verdict (`verify`).

use serde::{Deserialize, Serialize};

use crate::{
    error::TrustError,
    note::{Algorithm, Verifier},
};

/// What a verifier takes as given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trust {
    logs: Vec<TrustedLog>,
    witnesses: Vec<Verifier>,
    witnesses_required: usize,
}

/// One log and its keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedLog {
    /// Origin line of the log's checkpoints.
    pub origin: String,
    /// Its keys; during a rotation, the old and the new ones.
    pub keys: Vec<Verifier>,
}

/// Name of the format.
pub const SCHEMA: &str = "sealway.trust/v1";

impl Trust {
    /// Trust in one log, without witnesses: policy one of one.
    ///
    /// # Errors
    /// As [`Trust::parse`].
    pub fn single(origin: &str, keys: Vec<Verifier>) -> Result<Self, TrustError> {
        let logs = vec![TrustedLog { origin: origin.to_owned(), keys }];
        Self { logs, ..Self::default() }.checked()
    }

    /// Reads a trust file.
    ///
    /// # Errors
    /// When it is malformed, of another schema, or could never be met.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let file: TrustFile =
            serde_json::from_slice(bytes).map_err(|error| TrustError::Json(error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(TrustError::Schema);
        }
        let log =
            |log: LogFile| Ok(TrustedLog { keys: parse_keys(&log.keys)?, origin: log.origin });
        let trust = Self {
            logs: file.logs.into_iter().map(log).collect::<Result<_, _>>()?,
            witnesses: parse_keys(&file.witnesses.keys)?,
            witnesses_required: file.witnesses.required,
        };
        trust.checked()
    }

    /// Writes the trust file, indented.
    pub fn to_json(&self) -> String {
        let keys = |keys: &[Verifier]| keys.iter().map(ToString::to_string).collect();
        let log = |log: &TrustedLog| LogFile { origin: log.origin.clone(), keys: keys(&log.keys) };
        let file = TrustFile {
            schema: SCHEMA.to_owned(),
            logs: self.logs.iter().map(log).collect(),
            witnesses: WitnessesFile {
                required: self.witnesses_required,
                keys: keys(&self.witnesses),
            },
        };
        let json =
            serde_json::to_string_pretty(&file).expect("strings and numbers always serialise");
        json + "\n"
    }

    /// The log with this origin.
    pub fn log(&self, origin: &str) -> Option<&TrustedLog> {
        self.logs.iter().find(|log| log.origin == origin)
    }

    /// All logs.
    pub fn logs(&self) -> &[TrustedLog] {
        &self.logs
    }

    /// Witnesses whose cosignatures count.
    pub fn witnesses(&self) -> &[Verifier] {
        &self.witnesses
    }

    /// How many of them must have signed.
    pub fn witnesses_required(&self) -> usize {
        self.witnesses_required
    }

    fn checked(self) -> Result<Self, TrustError> {
        for log in &self.logs {
            if let Some(key) = log.keys.iter().find(|key| key.name() != log.origin) {
                let (origin, key) = (log.origin.clone(), key.name().to_owned());
                return Err(TrustError::KeyName { origin, key });
            }
            if !log.keys.iter().any(|key| key.algorithm() == Algorithm::Ed25519) {
                return Err(TrustError::NoKey(log.origin.clone()));
            }
        }
        let (required, listed) = (self.witnesses_required, self.witnesses.len());
        if required > listed {
            return Err(TrustError::Witnesses { required, listed });
        }
        Ok(self)
    }
}

impl TrustedLog {
    /// Whether checkpoints must carry the time.
    pub(crate) fn wants_time(&self) -> bool {
        self.keys.iter().any(|key| key.algorithm() == Algorithm::Cosignature)
    }
}

fn parse_keys(keys: &[String]) -> Result<Vec<Verifier>, TrustError> {
    keys.iter().map(|key| Verifier::parse(key).map_err(|_| TrustError::Key(key.clone()))).collect()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    schema: String,
    logs: Vec<LogFile>,
    #[serde(default)]
    witnesses: WitnessesFile,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LogFile {
    origin: String,
    keys: Vec<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WitnessesFile {
    required: usize,
    keys: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    #[test]
    fn a_trust_file_survives_the_round_trip() {
        let signer = Signer::from_seed("log.example/a", &[1; 32]).unwrap();
        let trust = Trust::single("log.example/a", signer.verifiers()).unwrap();

        assert_eq!(Trust::parse(trust.to_json().as_bytes()), Ok(trust.clone()));
        assert!(trust.log("log.example/a").is_some());
        assert!(trust.log("log.example/b").is_none());
    }

    #[test]
    fn files_that_could_never_be_met_are_refused() {
        let signer = Signer::from_seed("log.example/a", &[1; 32]).unwrap();
        let good = Trust::single("log.example/a", signer.verifiers()).unwrap().to_json();
        let key = signer.verifier(Algorithm::Ed25519).to_string();

        assert!(matches!(Trust::parse(b"{}"), Err(TrustError::Json(_))));
        for (from, to) in [
            ("sealway.trust/v1", "sealway.trust/v2"),
            ("\"origin\": \"log", "\"origin\": \"leg"),
            ("\"required\": 0", "\"required\": 1"),
            ("\"witnesses\"", "\"witness\""),
            (key.as_str(), "log.example/a+00000000+AAAA"),
        ] {
            assert_ne!(good.replace(from, to), good);
            assert!(Trust::parse(good.replace(from, to).as_bytes()).is_err(), "{from}");
        }
        let times = vec![signer.verifier(Algorithm::Cosignature)];
        assert!(matches!(Trust::single("log.example/a", times), Err(TrustError::NoKey(_))));
    }
}
