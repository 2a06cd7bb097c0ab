//! One item to the gateway and what came of it: accepted, refused in part, refused, or not delivered.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use serde::Serialize;

use super::{Item, ItemKind};

/// Attempts at an item while the gateway is busy or away.
const ATTEMPTS_MAX: u32 = 6;
/// Longest wait for one answer.
const ANSWER_SECONDS_MAX: u64 = 300;
/// Longest wait between two attempts.
const PAUSE_SECONDS_MAX: u64 = 30;

/// Client of one gateway; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    fhir_base: String,
    token: Option<String>,
}

/// What the gateway answered to one item.
#[derive(Debug, Default)]
pub struct Answer {
    /// Resources or messages accepted.
    pub accepted: usize,
    /// What was refused.
    pub refused: Vec<Refused>,
}

/// A refusal as the gateway gave it: its places are those of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Index of the bundle's entry; `None` for the whole item.
    pub entry: Option<usize>,
    /// HTTP status or acknowledgement code.
    pub status: String,
    /// Everything that is wrong; at least one.
    pub issues: Vec<Trouble>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Trouble {
    /// FHIRPath or HL7 v2 location, where the gateway named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the gateway said.
    pub reason: String,
}

/// Why an item got no answer. Loading stops: nothing was decided about the item.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection, or no answer in time, after several attempts.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// Where to.
        url: String,
        /// What failed.
        reason: String,
    },
    /// 401 for the whole request.
    #[error("the gateway refused the token: {0}")]
    Unauthenticated(String),
    /// 403 for the whole request.
    #[error("the token may not write: {0}")]
    Forbidden(String),
}

impl Sender {
    /// A client of the gateway at `fhir_base` (`http://127.0.0.1:8080/fhir`).
    ///
    /// # Errors
    /// [`SendError::Unreachable`] when no TLS client can be made on this machine.
    pub fn new(fhir_base: &str, token: Option<String>) -> Result<Self, SendError> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| SendError::Unreachable { url: fhir_base.into(), reason: e.to_string() })?;
        Ok(Self { client, fhir_base: fhir_base.trim_end_matches('/').to_owned(), token })
    }

    /// Sends one item and waits for its outcome; retries while the gateway is busy.
    ///
    /// # Errors
    /// [`SendError`] when the item's fate is unknown or the token is refused.
    pub async fn send(&self, item: &Item) -> Result<Answer, SendError> {
        let url = self.url(item.kind);
        let mut pause = Duration::from_millis(200);
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            match self.request(&url, item).send().await {
                Ok(response) if is_busy(response.status()) => {
                    last = response.status().to_string();
                    pause = asked_pause(&response).unwrap_or(pause);
                }
                Ok(response) => return read_answer(item, &url, response).await,
                Err(error) => last = error.without_url().to_string(),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(PAUSE_SECONDS_MAX));
        }
        Err(SendError::Unreachable { url, reason: last })
    }

    fn url(&self, kind: ItemKind) -> String {
        match kind {
            ItemKind::Bundle | ItemKind::Resources => self.fhir_base.clone(),
            ItemKind::Message => {
                let origin = self.fhir_base.trim_end_matches("/R4").trim_end_matches("/fhir");
                format!("{origin}/hl7v2")
            }
        }
    }

    fn request(&self, url: &str, item: &Item) -> reqwest::RequestBuilder {
        let media = match item.kind {
            ItemKind::Message => "application/hl7-v2",
            ItemKind::Bundle | ItemKind::Resources => "application/fhir+json",
        };
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, media)
            .header(ACCEPT, media)
            .header("Prefer", "return=minimal")
            .body(item.body.clone());
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

fn asked_pause(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, PAUSE_SECONDS_MAX)))
}

async fn read_answer(
    item: &Item,
    url: &str,
    response: reqwest::Response,
) -> Result<Answer, SendError> {
    let status = response.status();
    let body = response.bytes().await.map_err(|e| SendError::Unreachable {
        url: url.to_owned(),
        reason: e.without_url().to_string(),
    })?;
    match status {
        StatusCode::UNAUTHORIZED => return Err(SendError::Unauthenticated(first_reason(&body))),
        StatusCode::FORBIDDEN => return Err(SendError::Forbidden(first_reason(&body))),
        _ => {}
    }
    if item.kind == ItemKind::Message {
        return Ok(message_answer(&body, status));
    }
    if !status.is_success() {
        let status = status.as_u16().to_string();
        let refused = vec![Refused { entry: None, status, issues: issues(&body) }];
        return Ok(Answer { accepted: 0, refused });
    }
    Ok(bundle_answer(item, &body))
}

/// A batch says of each entry what became of it; a transaction was accepted whole.
fn bundle_answer(item: &Item, body: &[u8]) -> Answer {
    let Ok(tree) = fhir::Tree::parse(body.to_vec()) else {
        return Answer { accepted: item.parts.len(), refused: Vec::new() };
    };
    let mut answer = Answer::default();
    let entries = tree.root().get("entry");
    for (index, entry) in entries.iter().flat_map(|e| e.children()).enumerate() {
        let response = entry.get("response");
        let status = response.and_then(|r| r.get("status")).and_then(|s| s.as_str());
        let status = status.map(|s| s.chars().take(3).collect::<String>()).unwrap_or_default();
        if status.starts_with('2') {
            answer.accepted += 1;
            continue;
        }
        let outcome = response.and_then(|r| r.get("outcome"));
        let issues = issues(outcome.map_or(b"", |outcome| outcome.raw()));
        answer.refused.push(Refused { entry: Some(index), status, issues });
    }
    answer
}

/// Acknowledgement code of an HL7 v2 answer, with location and text of each ERR segment.
fn message_answer(body: &[u8], status: StatusCode) -> Answer {
    let text = String::from_utf8_lossy(body);
    let field = |line: &str, at: usize| {
        line.split('|').nth(at).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let segments =
        |name: &'static str| text.split(['\r', '\n']).filter(move |line| line.starts_with(name));
    let msa = segments("MSA").next().unwrap_or_default();
    let code = field(msa, 1).unwrap_or_else(|| status.as_u16().to_string());
    if matches!(code.as_str(), "AA" | "CA") {
        return Answer { accepted: 1, refused: Vec::new() };
    }
    let reason = |line| field(line, 8).or_else(|| field(msa, 3)).unwrap_or_else(unsaid);
    let mut issues: Vec<Trouble> =
        segments("ERR").map(|err| Trouble { path: field(err, 2), reason: reason(err) }).collect();
    if issues.is_empty() {
        issues.push(Trouble { path: None, reason: reason("") });
    }
    Answer { accepted: 0, refused: vec![Refused { entry: None, status: code, issues }] }
}

/// Location and text of an OperationOutcome's issues.
fn issues(body: &[u8]) -> Vec<Trouble> {
    let Ok(tree) = fhir::Tree::parse(body.to_vec()) else {
        return vec![Trouble { path: None, reason: "the answer is not FHIR JSON".into() }];
    };
    let text = |node: Option<fhir::Node<'_>>| node.and_then(|n| n.as_str()).map(|t| t.into_owned());
    let found = tree.root().get("issue");
    let mut issues: Vec<Trouble> = found
        .iter()
        .flat_map(|found| found.children())
        .map(|issue| Trouble {
            path: text(issue.get("expression").and_then(|e| e.children().next())),
            reason: text(issue.get("details").and_then(|d| d.get("text")))
                .or_else(|| text(issue.get("diagnostics")))
                .unwrap_or_else(unsaid),
        })
        .collect();
    if issues.is_empty() {
        issues.push(Trouble { path: None, reason: unsaid() });
    }
    issues
}

fn first_reason(body: &[u8]) -> String {
    issues(body).swap_remove(0).reason
}

fn unsaid() -> String {
    "no reason was given".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_acknowledgement_gives_code_place_and_reason() {
        let ack =
            b"MSH|^~\\&|A\rMSA|AE|7\rERR||PID^1^3|101^Required field missing|E||||no identifier\r";

        let answer = message_answer(ack, StatusCode::OK);

        assert_eq!(answer.accepted, 0);
        let issues = vec![Trouble { path: Some("PID^1^3".into()), reason: "no identifier".into() }];
        assert_eq!(answer.refused, [Refused { entry: None, status: "AE".into(), issues }]);
    }

    #[test]
    fn a_batch_answer_is_read_entry_by_entry() {
        let body = br#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"201 Created"}},{"response":{"status":"400","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value","details":{"text":"bad code"},"expression":["Patient.gender"]},{"severity":"error","code":"value","diagnostics":"bad date"}]}}}]}"#;
        let item = Item { kind: ItemKind::Resources, body: Vec::new(), line: 1, parts: Vec::new() };

        let answer = bundle_answer(&item, body);

        assert_eq!(answer.accepted, 1);
        let trouble = |path: Option<&str>, reason: &str| Trouble {
            path: path.map(str::to_owned),
            reason: reason.into(),
        };
        let issues = vec![trouble(Some("Patient.gender"), "bad code"), trouble(None, "bad date")];
        assert_eq!(answer.refused, [Refused { entry: Some(1), status: "400".into(), issues }]);
    }
}
