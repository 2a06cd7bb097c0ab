//! An external terminology server, asked about what is not known here (setting `terminology.url`).
//!
//! Only operations on a type go there, with the parameters of the request and nothing else: no token, no resource of
//! the store. One server, over https (or http on loopback), no redirects, bounded in time and size; its answer has to be
//! the resource that the operation gives. When it fails, the request is refused and says so.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use serde_json::Value;

use crate::auth::check_url;
use crate::config::ConfigError;
use crate::error::{Answered, Fault, FaultKind};

/// The server.
#[derive(Debug)]
pub(crate) struct Remote {
    base: String,
    client: reqwest::Client,
}

impl Remote {
    /// The configured one, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL that is not allowed.
    pub(crate) fn of(url: Option<&str>) -> Result<Option<Self>, ConfigError> {
        let Some(url) = url else { return Ok(None) };
        let refused = || {
            let text = "terminology.url must begin with https:// (or http:// on loopback)";
            ConfigError(text.to_owned())
        };
        check_url(url).map_err(|_| refused())?;
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(|_| refused())?;
        Ok(Some(Self { base: url.trim_end_matches('/').to_owned(), client }))
    }

    /// Asks an operation (`CodeSystem/$lookup`) by its parameters: a query, or a Parameters resource.
    ///
    /// # Errors
    /// 503 when it does not answer, 422 when it refuses, 502-like faults of its answer as 503.
    pub(crate) async fn ask(
        &self,
        operation: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Answered<Value> {
        let url = match (query, body) {
            ("", _) | (_, Some(_)) => format!("{}/{operation}", self.base),
            (query, None) => format!("{}/{operation}?{query}", self.base),
        };
        let request = match body {
            Some(body) => {
                self.client.post(url).header(CONTENT_TYPE, FHIR_JSON).body(body.to_string())
            }
            None => self.client.get(url),
        };
        let away = |cause: &dyn std::fmt::Display| {
            tracing::warn!(cause = %cause, "the external terminology server does not answer");
            Fault::new(
                FaultKind::Unavailable,
                "the external terminology server does not answer; retry later",
            )
        };
        let sent = request.header(ACCEPT, FHIR_JSON).send().await;
        let mut answer = sent.map_err(|error| away(&error.without_url()))?;
        let status = answer.status().as_u16();
        if status >= 500 {
            return Err(away(&status));
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| away(&error.without_url()))? {
            bytes.extend_from_slice(&part);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(away(&"its answer is too large"));
            }
        }
        if status != 200 {
            let text = format!("the external terminology server answers {status}");
            return Err(Fault::new(FaultKind::Unprocessable, text));
        }
        let wanted = if operation.ends_with("$expand") { "ValueSet" } else { "Parameters" };
        let resource = fhir::read(bytes, &fhir::ReadLimits::default())
            .map_err(|_| away(&"its answer is no FHIR R4 resource"))?;
        let value: Value =
            serde_json::from_slice(resource.bytes()).map_err(|error| away(&error))?;
        match value["resourceType"] == wanted {
            true => Ok(value),
            false => Err(away(&"its answer is another resource")),
        }
    }
}

const FHIR_JSON: &str = "application/fhir+json";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For the whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 16 << 20;
