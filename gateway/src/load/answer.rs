//! Reading an answer: what it says of each entry of a bundle, or of a message.
//!
//! Nothing counts as accepted that the answer does not say so of. Not here: requests and attempts (`sender`).

use reqwest::StatusCode;
use serde::Serialize;

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

/// What one answer says of what was sent.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// Resources or messages accepted.
    pub(super) accepted: usize,
    /// What was refused.
    pub(super) refused: Vec<Refused>,
    /// Entries that the gateway had no time for.
    pub(super) busy: Vec<usize>,
}

pub(super) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// What a response bundle says of each entry; an entry that it is silent about does not count as accepted.
pub(super) fn bundle_answer(sent: usize, body: &[u8]) -> Decided {
    let mut decided = Decided::default();
    let unanswered = |entry| Refused {
        entry,
        status: "unanswered".into(),
        issues: vec![Trouble {
            path: None,
            reason: "the answer does not say what became of it".into(),
        }],
    };
    let Ok(tree) = fhir::Tree::parse(body.to_vec()) else {
        return Decided { refused: vec![unanswered(None)], ..decided };
    };
    let entries = tree.root().get("entry");
    for (index, entry) in entries.iter().flat_map(|e| e.children()).enumerate() {
        let response = entry.get("response");
        let status = response.and_then(|r| r.get("status")).and_then(|s| s.as_str());
        let status = status.map(|s| s.chars().take(3).collect::<String>()).unwrap_or_default();
        match status.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok()) {
            Some(code) if code.is_success() => decided.accepted += 1,
            Some(code) if is_busy(code) => decided.busy.push(index),
            _ => {
                let outcome = response.and_then(|r| r.get("outcome"));
                let issues = issues(outcome.map_or(b"", |outcome| outcome.raw()));
                decided.refused.push(Refused { entry: Some(index), status, issues });
            }
        }
    }
    let answered = decided.accepted + decided.busy.len() + decided.refused.len();
    decided.refused.extend((answered..sent).map(|entry| unanswered(Some(entry))));
    decided
}

/// Acknowledgement code of an HL7 v2 answer, with location and text of each ERR segment.
pub(super) fn message_answer(body: &[u8], status: StatusCode) -> Decided {
    let text = String::from_utf8_lossy(body);
    let field = |line: &str, at: usize| {
        line.split('|').nth(at).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let segments =
        |name: &'static str| text.split(['\r', '\n']).filter(move |line| line.starts_with(name));
    let msa = segments("MSA").next().unwrap_or_default();
    let code = field(msa, 1).unwrap_or_else(|| status.as_u16().to_string());
    if matches!(code.as_str(), "AA" | "CA") {
        return Decided { accepted: 1, ..Decided::default() };
    }
    let reason = |line| field(line, 8).or_else(|| field(msa, 3)).unwrap_or_else(unsaid);
    let mut issues: Vec<Trouble> =
        segments("ERR").map(|err| Trouble { path: field(err, 2), reason: reason(err) }).collect();
    if issues.is_empty() {
        issues.push(Trouble { path: None, reason: reason("") });
    }
    let refused = vec![Refused { entry: None, status: code, issues }];
    Decided { refused, ..Decided::default() }
}

/// Location and text of an OperationOutcome's issues.
pub(super) fn issues(body: &[u8]) -> Vec<Trouble> {
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

pub(super) fn first_reason(body: &[u8]) -> String {
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
        let answer = bundle_answer(2, body);

        assert_eq!(answer.accepted, 1);
        let trouble = |path: Option<&str>, reason: &str| Trouble {
            path: path.map(str::to_owned),
            reason: reason.into(),
        };
        let issues = vec![trouble(Some("Patient.gender"), "bad code"), trouble(None, "bad date")];
        assert_eq!(answer.refused, [Refused { entry: Some(1), status: "400".into(), issues }]);
    }

    #[test]
    fn what_an_answer_is_silent_about_is_not_accepted() {
        let one = br#"{"resourceType":"Bundle","entry":[{"response":{"status":"201"}}]}"#;
        let entries = |answer: &Decided| answer.refused.iter().map(|r| r.entry).collect::<Vec<_>>();

        let short = bundle_answer(3, one);
        let foreign = bundle_answer(3, b"<html>");

        assert_eq!((short.accepted, entries(&short)), (1, vec![Some(1), Some(2)]));
        assert_eq!((foreign.accepted, entries(&foreign)), (0, vec![None]));
    }
}
