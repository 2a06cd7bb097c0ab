//! One item to the gateway and what came of it: accepted, refused in part, refused, or not delivered.
//!
//! 429 and 503 are no refusal, neither of a request nor of an entry of a batch: what they answer is sent again. A batch
//! that was made here and is refused as a whole is sent again in halves, so that one bad resource refuses no other.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};

use super::answer::{
    Decided, Refused, bundle_answer, first_reason, is_busy, issues, message_answer,
};
use super::{Item, ItemKind};

/// Attempts in a row at an item of which nothing is decided, while the gateway is busy or away.
const ATTEMPTS_MAX: u32 = 6;
/// Longest wait for one answer.
const ANSWER_SECONDS_MAX: u64 = 300;
/// Wait before the second attempt; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
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
    /// The gateway may have taken something without an answer that arrived.
    pub uncertain: bool,
}

/// Why an item, or a part of it, got no answer. Loading stops: nothing was decided about that.
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
    /// Whatever answers at the address takes no such requests.
    #[error("nothing takes this at {url}: {status}, {reason}")]
    Elsewhere {
        /// Where to.
        url: String,
        /// What was answered.
        status: StatusCode,
        /// Why.
        reason: String,
    },
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

    /// Sends one item and waits for its outcome; retries what the gateway is too busy for. What was decided stands in
    /// `answer`, also when the rest was not delivered.
    ///
    /// # Errors
    /// [`SendError`] when the fate of the item, or of a part, is unknown or the token is refused.
    pub async fn send(&self, item: &Item, answer: &mut Answer) -> Result<(), SendError> {
        let mut waiting = vec![Left::all(item)];
        while let Some(left) = waiting.pop() {
            waiting.extend(self.deliver(item, left, answer).await?);
        }
        Ok(())
    }

    /// Delivers a part of an item; gives its halves when it was refused as a whole and can be halved.
    async fn deliver(
        &self,
        item: &Item,
        mut left: Left,
        answer: &mut Answer,
    ) -> Result<Vec<Left>, SendError> {
        let url = self.url(item.kind);
        let mut backoff = Backoff::default();
        loop {
            let asked = match self.request(&url, item.kind, left.body.clone()).send().await {
                Ok(response) if is_busy(response.status()) => {
                    backoff.last = response.status().to_string();
                    asked_pause(&response)
                }
                Ok(response) => {
                    let (status, body) =
                        read_answer(&url, item.kind, response).await.inspect_err(|error| {
                            answer.uncertain |= matches!(error, SendError::Unreachable { .. });
                        })?;
                    if item.kind == ItemKind::Resources && !status.is_success() {
                        let halves = left.halves();
                        if !halves.is_empty() {
                            return Ok(halves);
                        }
                    }
                    if left.take(item, status, &body, answer) {
                        backoff = Backoff::default();
                    }
                    if left.entries.is_empty() {
                        return Ok(Vec::new());
                    }
                    backoff.last = format!("{} entries of a batch wait", left.entries.len());
                    None
                }
                Err(error) => {
                    answer.uncertain |= !error.is_connect();
                    backoff.last = error.without_url().to_string();
                    None
                }
            };
            if !backoff.wait(asked).await {
                return Err(SendError::Unreachable { url, reason: backoff.last });
            }
        }
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

    fn request(&self, url: &str, kind: ItemKind, body: Vec<u8>) -> reqwest::RequestBuilder {
        let media = match kind {
            ItemKind::Message => "application/hl7-v2",
            ItemKind::Bundle | ItemKind::Resources => "application/fhir+json",
        };
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, media)
            .header(ACCEPT, media)
            .header("Prefer", "return=minimal")
            .body(body);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }
}

/// The attempts at one item since something was last decided about it.
struct Backoff {
    attempts: u32,
    pause: Duration,
    last: String,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts: 0, pause: PAUSE_FIRST, last: String::new() }
    }
}

impl Backoff {
    /// Waits for the next attempt, as long as the gateway asked or ever longer; false when there is none.
    async fn wait(&mut self, asked: Option<Duration>) -> bool {
        self.attempts += 1;
        if self.attempts == ATTEMPTS_MAX {
            return false;
        }
        let pause = asked.unwrap_or(self.pause);
        tokio::time::sleep(pause).await;
        self.pause = (pause * 2).min(Duration::from_secs(PAUSE_SECONDS_MAX));
        true
    }
}

/// What of an item is still to be delivered.
struct Left {
    body: Vec<u8>,
    /// Where the entries of `body` stand in the item.
    entries: Vec<usize>,
}

impl Left {
    fn all(item: &Item) -> Self {
        // A whole that is decided at once is one entry here.
        Self { body: item.body.clone(), entries: (0..item.parts.len().max(1)).collect() }
    }

    /// Both halves, the first last; none when there is only one entry, or nothing that can be cut.
    fn halves(&self) -> Vec<Self> {
        let middle = self.entries.len() / 2;
        let half = |from: usize, to: usize| {
            let body = batch_of(&self.body, &(from..to).collect::<Vec<_>>());
            Self { body, entries: self.entries[from..to].to_vec() }
        };
        let halves = vec![half(middle, self.entries.len()), half(0, middle)];
        match middle > 0 && halves.iter().all(|half| !half.body.is_empty()) {
            true => halves,
            false => Vec::new(),
        }
    }

    /// Takes what was decided into `answer`; true when there was anything. What is left is a batch of its own.
    fn take(&mut self, item: &Item, status: StatusCode, body: &[u8], answer: &mut Answer) -> bool {
        let before = self.entries.len();
        let decided = match item.kind {
            ItemKind::Message => message_answer(body, status),
            ItemKind::Bundle | ItemKind::Resources if status.is_success() => {
                bundle_answer(before, body)
            }
            ItemKind::Bundle | ItemKind::Resources => {
                let status = status.as_u16().to_string();
                // What was made here has no whole for the file: each of its resources is refused.
                let entries: Vec<_> = match item.kind {
                    ItemKind::Resources => (0..before).map(Some).collect(),
                    _ => vec![None],
                };
                let refused =
                    |entry| Refused { entry, status: status.clone(), issues: issues(body) };
                let refused = entries.into_iter().map(refused).collect();
                Decided { refused, ..Decided::default() }
            }
        };
        answer.accepted += decided.accepted;
        let refused = decided.refused.into_iter().map(|refused| refused.among(&self.entries));
        answer.refused.extend(refused);
        if !decided.busy.is_empty() {
            self.body = batch_of(&self.body, &decided.busy);
        }
        self.entries =
            decided.busy.iter().filter_map(|at| self.entries.get(*at).copied()).collect();
        self.entries.len() < before
    }
}

/// A batch of these entries of a bundle.
fn batch_of(bundle: &[u8], entries: &[usize]) -> Vec<u8> {
    let Ok(tree) = fhir::Tree::parse(bundle.to_vec()) else { return Vec::new() };
    let all: Vec<_> = tree.root().get("entry").iter().flat_map(|e| e.children()).collect();
    let chosen: Vec<&[u8]> = entries.iter().filter_map(|at| Some(all.get(*at)?.raw())).collect();
    let head = br#"{"resourceType":"Bundle","type":"batch","entry":["#.as_slice();
    [head, &chosen.join(&b','), b"]}"].concat()
}

impl Refused {
    /// With the places of the item, where the places are those of a batch of these `entries` of it.
    fn among(mut self, entries: &[usize]) -> Self {
        let Some(at) = self.entry else { return self };
        let place = entries.get(at).copied().unwrap_or(at);
        let (sent, own) = (format!("Bundle.entry[{at}]"), format!("Bundle.entry[{place}]"));
        for path in self.issues.iter_mut().filter_map(|trouble| trouble.path.as_mut()) {
            if let Some(rest) = path.strip_prefix(&sent) {
                *path = format!("{own}{rest}");
            }
        }
        self.entry = Some(place);
        self
    }
}

fn asked_pause(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, PAUSE_SECONDS_MAX)))
}

async fn read_answer(
    url: &str,
    kind: ItemKind,
    response: reqwest::Response,
) -> Result<(StatusCode, Vec<u8>), SendError> {
    let status = response.status();
    let body = response.bytes().await.map_err(|e| SendError::Unreachable {
        url: url.to_owned(),
        reason: e.without_url().to_string(),
    })?;
    match status {
        StatusCode::UNAUTHORIZED => Err(SendError::Unauthenticated(first_reason(&body))),
        StatusCode::FORBIDDEN => Err(SendError::Forbidden(first_reason(&body))),
        _ if is_elsewhere(status, kind, &body) => {
            let (url, reason) = (url.to_owned(), first_reason(&body));
            Err(SendError::Elsewhere { url, status, reason })
        }
        _ => Ok((status, body.to_vec())),
    }
}

/// Whether the address is what is refused. A transaction of a file may name something that is not there, which is a 404
/// as well, but at an entry.
fn is_elsewhere(status: StatusCode, kind: ItemKind, body: &[u8]) -> bool {
    let at_entry = || {
        let mut places = issues(body).into_iter().filter_map(|issue| issue.path);
        places.any(|place| place.starts_with("Bundle.entry"))
    };
    match status {
        StatusCode::NOT_FOUND => kind != ItemKind::Bundle || !at_entry(),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::MISDIRECTED_REQUEST => true,
        _ => status.is_redirection(),
    }
}
