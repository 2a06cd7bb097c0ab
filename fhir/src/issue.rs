//! What is wrong with an input, and the `OperationOutcome` that says so.
//!
//! Spec: FHIR R4 operationoutcome.html, value set `issue-type`. Texts hold no patient data.
//! Not here: HTTP status codes (`gateway::error`).

use crate::json_text::write_json_string;

/// One thing that is wrong or worth saying.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// The standard's code for its kind.
    pub code: IssueType,
    /// One plain sentence, without patient data.
    pub text: String,
    /// FHIRPath location, such as `Patient.name[0].given[1]`.
    pub expression: Option<String>,
}

impl Issue {
    /// An error without a location.
    #[must_use]
    pub fn error(code: IssueType, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, text: text.into(), expression: None }
    }

    /// The same issue at a FHIRPath location.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }
}

/// Value set `issue-severity`, a closed set of the standard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The interaction failed and so did what was around it.
    Fatal,
    /// The interaction failed.
    Error,
    /// It went on, with a doubt.
    Warning,
    /// All is well.
    Information,
}

impl Severity {
    /// The standard's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

macro_rules! issue_types {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Value set `issue-type`, a closed set of the standard.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum IssueType {
            $($(#[$doc])* $name,)*
        }

        impl IssueType {
            /// The standard's code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

issue_types! {
    /// Content does not meet the specification.
    Invalid = "invalid",
    /// Not well-formed, or an element that does not exist.
    Structure = "structure",
    /// A required element is missing.
    Required = "required",
    /// A value is malformed or out of its value set.
    Value = "value",
    /// A rule between elements is broken.
    Invariant = "invariant",
    /// Something about security.
    Security = "security",
    /// Authentication is needed.
    Login = "login",
    /// The credentials are not known.
    Unknown = "unknown",
    /// The token is too old.
    Expired = "expired",
    /// The caller may not do this.
    Forbidden = "forbidden",
    /// Something was left out because the caller may not see it.
    Suppressed = "suppressed",
    /// A step of the processing failed.
    Processing = "processing",
    /// The server does not do this.
    NotSupported = "not-supported",
    /// A resource of that identity exists already.
    Duplicate = "duplicate",
    /// More matched than may.
    MultipleMatches = "multiple-matches",
    /// Nothing of that name.
    NotFound = "not-found",
    /// It was there and is deleted.
    Deleted = "deleted",
    /// Larger than a limit allows.
    TooLong = "too-long",
    /// A code is not in its value set.
    CodeInvalid = "code-invalid",
    /// An extension that is not known changes the meaning.
    Extension = "extension",
    /// Would cost too much.
    TooCostly = "too-costly",
    /// A rule of business forbids it.
    BusinessRule = "business-rule",
    /// Someone else changed it meanwhile.
    Conflict = "conflict",
    /// Will pass; try again.
    Transient = "transient",
    /// A lock could not be had.
    LockError = "lock-error",
    /// The store is away.
    NoStore = "no-store",
    /// Something failed within.
    Exception = "exception",
    /// Took too long.
    Timeout = "timeout",
    /// Only part of the answer.
    Incomplete = "incomplete",
    /// Too many requests.
    Throttled = "throttled",
    /// Nothing is wrong.
    Informational = "informational",
}

/// Writer of `OperationOutcome` resources.
pub struct OperationOutcome;

impl OperationOutcome {
    /// Renders the issues as JSON; the same sentence stands in `details.text` and `diagnostics`.
    ///
    /// An empty list is said as one informational issue, because the standard wants at least one.
    #[must_use]
    pub fn render(issues: &[Issue], request_id: Option<&str>) -> Vec<u8> {
        let mut out = br#"{"resourceType":"OperationOutcome""#.to_vec();
        if let Some(request_id) = request_id {
            out.extend_from_slice(br#","extension":[{"url":""#);
            out.extend_from_slice(REQUEST_ID_URL.as_bytes());
            out.extend_from_slice(br#"","valueString":"#);
            write_json_string(request_id, &mut out);
            out.extend_from_slice(b"}]");
        }
        out.extend_from_slice(br#","issue":["#);
        if issues.is_empty() {
            render_issue(&all_is_well(), &mut out);
        }
        for (place, issue) in issues.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            render_issue(issue, &mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

fn all_is_well() -> Issue {
    Issue {
        severity: Severity::Information,
        ..Issue::error(IssueType::Informational, "all is well")
    }
}

fn render_issue(issue: &Issue, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"severity":""#);
    out.extend_from_slice(issue.severity.code().as_bytes());
    out.extend_from_slice(br#"","code":""#);
    out.extend_from_slice(issue.code.code().as_bytes());
    out.push(b'"');
    if !issue.text.is_empty() {
        out.extend_from_slice(br#","details":{"text":"#);
        write_json_string(&issue.text, out);
        out.extend_from_slice(br#"},"diagnostics":"#);
        write_json_string(&issue.text, out);
    }
    if let Some(expression) = &issue.expression {
        // R4 operationoutcome.html: of what is no element, "http." and the parameter's name, which is no FHIRPath.
        let place: &[u8] = match expression.starts_with(HTTP_PLACE) {
            true => br#","location":["#,
            false => br#","expression":["#,
        };
        out.extend_from_slice(place);
        write_json_string(expression, out);
        out.push(b']');
    }
    out.push(b'}');
}

/// What the place of a parameter or header begins with.
pub const HTTP_PLACE: &str = "http.";
/// Extension that carries the request id in an `OperationOutcome`.
pub const REQUEST_ID_URL: &str = "urn:sealway:request-id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_parameter_is_a_location_and_no_expression() {
        let issue = Issue::error(IssueType::Invalid, "a number").at("http._count");

        let outcome: serde_json::Value =
            serde_json::from_slice(&OperationOutcome::render(&[issue], None)).unwrap();

        assert_eq!(outcome["issue"][0]["location"][0], "http._count");
        assert!(outcome["issue"][0].get("expression").is_none());
    }

    #[test]
    fn an_outcome_says_the_same_sentence_twice_with_location_and_request_id() {
        let issue = Issue::error(IssueType::Required, "say \"who\"").at("Patient.name[0]");

        let outcome: serde_json::Value =
            serde_json::from_slice(&OperationOutcome::render(&[issue], Some("r1"))).unwrap();

        let first = &outcome["issue"][0];
        assert_eq!(first["severity"], "error");
        assert_eq!(first["code"], "required");
        assert_eq!(first["details"]["text"], "say \"who\"");
        assert_eq!(first["diagnostics"], first["details"]["text"]);
        assert_eq!(first["expression"][0], "Patient.name[0]");
        assert_eq!(outcome["extension"][0]["url"], REQUEST_ID_URL);
        assert_eq!(outcome["extension"][0]["valueString"], "r1");
    }

    #[test]
    fn an_outcome_without_issues_says_that_all_is_well() {
        let outcome: serde_json::Value =
            serde_json::from_slice(&OperationOutcome::render(&[], None)).unwrap();

        assert_eq!(outcome["issue"][0]["severity"], "information");
        assert_eq!(outcome.get("extension"), None);
    }
}
