//! One item to the gateway and what came of it: accepted, refused in part, refused, or not delivered.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};

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
    /// What was refused: entry index if it was one, status, place, reason.
    pub refused: Vec<(Option<usize>, String, Option<String>, String)>,
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
    /// 401 or 403 for the whole request.
    #[error("the gateway refused the token: {0}")]
    Unauthenticated(String),
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
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(SendError::Unauthenticated(first_issue(&body).1));
    }
    if item.kind == ItemKind::Message {
        return Ok(message_answer(&body, status));
    }
    if !status.is_success() {
        let (place, reason) = first_issue(&body);
        let refused = vec![(None, status.as_u16().to_string(), place, reason)];
        return Ok(Answer { accepted: 0, refused });
    }
    Ok(bundle_answer(item, &body))
}

/// A batch says of each entry what became of it; a transaction was accepted whole.
fn bundle_answer(item: &Item, body: &[u8]) -> Answer {
    let Ok(tree) = fhir::Tree::parse(body.to_vec()) else {
        return Answer { accepted: item.count, refused: Vec::new() };
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
        let (place, reason) = response
            .and_then(|r| r.get("outcome"))
            .map_or_else(|| (None, String::new()), |outcome| first_issue(outcome.raw()));
        answer.refused.push((Some(index), status, place, reason));
    }
    answer
}

/// Acknowledgement code, location and text of an HL7 v2 answer.
fn message_answer(body: &[u8], status: StatusCode) -> Answer {
    let text = String::from_utf8_lossy(body);
    let field = |segment: &str, at: usize| {
        text.split(['\r', '\n'])
            .find(|line| line.starts_with(segment))
            .and_then(|line| line.split('|').nth(at))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    };
    let code = field("MSA", 1).unwrap_or_else(|| status.as_u16().to_string());
    if matches!(code.as_str(), "AA" | "CA") {
        return Answer { accepted: 1, refused: Vec::new() };
    }
    let reason = field("ERR", 8).or_else(|| field("MSA", 3)).unwrap_or_default();
    Answer { accepted: 0, refused: vec![(None, code, field("ERR", 2), reason)] }
}

/// Location and text of an OperationOutcome's first issue.
fn first_issue(body: &[u8]) -> (Option<String>, String) {
    let Ok(tree) = fhir::Tree::parse(body.to_vec()) else {
        return (None, "the answer is not FHIR JSON".into());
    };
    let Some(issue) = tree.root().get("issue").and_then(|i| i.children().next()) else {
        return (None, "no reason was given".into());
    };
    let text = |node: Option<fhir::Node<'_>>| node.and_then(|n| n.as_str()).map(|t| t.into_owned());
    let place = text(issue.get("expression").and_then(|e| e.children().next()));
    let reason = text(issue.get("details").and_then(|d| d.get("text")))
        .or_else(|| text(issue.get("diagnostics")))
        .unwrap_or_else(|| "no reason was given".into());
    (place, reason)
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
        let (_, code, place, reason) = &answer.refused[0];
        assert_eq!((code.as_str(), place.as_deref()), ("AE", Some("PID^1^3")));
        assert_eq!(reason, "no identifier");
    }

    #[test]
    fn a_batch_answer_is_read_entry_by_entry() {
        let body = br#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"201 Created"}},{"response":{"status":"400","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value","details":{"text":"bad code"},"expression":["Patient.gender"]}]}}}]}"#;
        let item = Item { kind: ItemKind::Resources, body: Vec::new(), line: 1, count: 2 };

        let answer = bundle_answer(&item, body);

        assert_eq!(answer.accepted, 1);
        assert_eq!(
            answer.refused,
            [(Some(1), "400".into(), Some("Patient.gender".into()), "bad code".into())]
        );
    }
}
