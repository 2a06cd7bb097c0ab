//! `Fault`: the closed set of refusals, and the one table that answers HTTP, FHIR and HL7 v2 together.
//!
//! Every error of a lower crate is sorted here by an exhaustive match; the client never sees a source.
//! Not here: the OperationOutcome's bytes (`outcome`).

use fhir::{HTTP_PLACE, Issue, IssueType, Severity};
use registry::error::{CommitError, ReadError};

use crate::auth::AuthError;
use crate::precondition::{IF_MATCH, IF_NONE_EXIST, IF_NONE_MATCH};

/// What kind of refusal; closed, because the table below answers each.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// Malformed: syntax, unknown element, unknown or unsafe parameter.
    Invalid,
    /// Well formed, but breaks a rule of business or profile.
    Unprocessable,
    /// Absent, or not visible to this caller; the two look the same.
    NotFound,
    /// Known to have been deleted.
    Deleted,
    /// The state does not allow it.
    Conflict,
    /// If-Match, If-None-Match or a criterion with several matches.
    PreconditionFailed,
    /// No token, or one that does not hold.
    Unauthenticated,
    /// Type, interaction, role or scope not allowed; says nothing of instances.
    Forbidden,
    /// The method is not offered at this place.
    MethodNotAllowed,
    /// No acceptable form of the answer.
    NotAcceptable,
    /// The body's form is not known.
    UnsupportedMediaType,
    /// Body too large, also after decompression.
    TooLarge,
    /// URL too long.
    UriTooLong,
    /// `Host` is not ours.
    Misdirected,
    /// The client was too slow.
    Timeout,
    /// Not done by this server.
    Unsupported,
    /// Too many at once; retry later.
    Busy,
    /// Something needed is away; retry later.
    Unavailable,
    /// A broken invariant of ours.
    Internal,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// HTTP status.
    pub http: u16,
    /// `OperationOutcome.issue.code`.
    pub code: IssueType,
    /// HL7 v2 acknowledgement code.
    pub msa1: &'static str,
}

/// A refusal with its issues.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// At least one.
    pub issues: Vec<Issue>,
    /// Value of `WWW-Authenticate`, for a 401.
    pub challenge: Option<Box<str>>,
}

/// What an operation of the gateway answers.
pub type Answered<T> = Result<T, Fault>;

impl FaultKind {
    /// The table: STYLE section 5 and the status policy of the security reference.
    pub fn answer(self) -> Answer {
        let (http, code, msa1) = match self {
            Self::Invalid => (400, IssueType::Invalid, "AE"),
            Self::Unprocessable => (422, IssueType::Processing, "AE"),
            Self::NotFound => (404, IssueType::NotFound, "AE"),
            Self::Deleted => (410, IssueType::Deleted, "AE"),
            Self::Conflict => (409, IssueType::Conflict, "AE"),
            Self::PreconditionFailed => (412, IssueType::Conflict, "AE"),
            Self::Unauthenticated => (401, IssueType::Login, "AR"),
            Self::Forbidden => (403, IssueType::Forbidden, "AR"),
            Self::MethodNotAllowed => (405, IssueType::NotSupported, "AR"),
            Self::NotAcceptable => (406, IssueType::NotSupported, "AR"),
            Self::UnsupportedMediaType => (415, IssueType::NotSupported, "AR"),
            Self::TooLarge => (413, IssueType::TooLong, "AR"),
            Self::UriTooLong => (414, IssueType::TooLong, "AR"),
            Self::Misdirected => (421, IssueType::Invalid, "AR"),
            Self::Timeout => (408, IssueType::Timeout, "AR"),
            Self::Unsupported => (501, IssueType::NotSupported, "AR"),
            Self::Busy => (429, IssueType::Throttled, "AR"),
            Self::Unavailable => (503, IssueType::Transient, "AR"),
            Self::Internal => (500, IssueType::Exception, "AE"),
        };
        Answer { http, code, msa1 }
    }
}

impl Fault {
    /// A refusal with one sentence for the client; no patient data in it.
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        let issue = Issue {
            severity: Severity::Error,
            code: kind.answer().code,
            text: text.into(),
            expression: None,
        };
        Self { kind, issues: vec![issue], challenge: None }
    }

    /// The reader's issues: 400.
    pub fn invalid(issues: Vec<Issue>) -> Self {
        Self { kind: FaultKind::Invalid, issues, challenge: None }
    }

    /// Criteria match several where one is meant: 412.
    pub fn several(text: impl Into<String>) -> Self {
        let mut fault = Self::new(FaultKind::PreconditionFailed, text);
        fault.issues.iter_mut().for_each(|issue| issue.code = IssueType::MultipleMatches);
        fault
    }

    /// Absent or not visible.
    pub fn not_found() -> Self {
        Self::new(FaultKind::NotFound, "no such resource")
    }

    /// More than is done for one request; asking again will not help.
    fn too_costly(text: &str) -> Self {
        let mut fault = Self::new(FaultKind::Invalid, text);
        fault.issues.iter_mut().for_each(|issue| issue.code = IssueType::TooCostly);
        fault
    }

    /// Says where in the request; the expression of an entry in a bundle, for instance.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        for issue in &mut self.issues {
            issue.expression = Some(match issue.expression.take() {
                None => place.to_owned(),
                Some(inner) if inner.starts_with("Bundle") => inner,
                Some(inner) if inner.starts_with(HTTP_PLACE) => in_request(place, &inner),
                Some(inner) => format!("{place}.resource.{}", after_type(&inner)),
            });
        }
        self
    }

    /// Says in which parameter of the request; what else says where stays.
    #[must_use]
    pub(crate) fn in_parameter(mut self, name: &str) -> Self {
        let name = brief(name);
        for issue in self.issues.iter_mut().filter(|issue| issue.expression.is_none()) {
            issue.expression = Some(format!("{HTTP_PLACE}{name}"));
        }
        self
    }

    /// Says where, relative to what [`Fault::at_entry`] will name.
    #[must_use]
    pub(crate) fn placed(mut self, place: &str) -> Self {
        for issue in &mut self.issues {
            issue.expression = Some(place.to_owned());
        }
        self
    }

    /// Says nowhere.
    #[must_use]
    pub(crate) fn unplaced(mut self) -> Self {
        self.issues.iter_mut().for_each(|issue| issue.expression = None);
        self
    }

    /// Puts a place within an entry, such as `request.url`, below that entry.
    #[must_use]
    pub(crate) fn at_entry(mut self, entry: &str) -> Self {
        for issue in &mut self.issues {
            issue.expression = issue.expression.take().map(|place| match &*place {
                place if place.starts_with(HTTP_PLACE) => in_request(entry, place),
                place => format!("{entry}.{place}"),
            });
        }
        self
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.answer().http
    }

    /// Seconds after which a retry makes sense.
    pub fn retry_after_s(&self) -> Option<u32> {
        matches!(self.kind, FaultKind::Busy | FaultKind::Unavailable).then_some(1)
    }

    /// First sentence, for HL7 v2 and logs.
    pub fn text(&self) -> &str {
        self.issues.first().map_or("refused", |issue| &issue.text)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.status(), self.text())
    }
}

impl std::error::Error for Fault {}

impl From<AuthError> for Fault {
    fn from(error: AuthError) -> Self {
        let kind = match error {
            AuthError::Unavailable => FaultKind::Unavailable,
            _ => FaultKind::Unauthenticated,
        };
        let challenge = error.challenge().map(Into::into);
        Self { challenge, ..Self::new(kind, error.to_string()) }
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale => Self::new(
                FaultKind::Busy,
                "the resource is changed too often at the same time; retry later",
            ),
            CommitError::Duplicate(key) => {
                Self::new(FaultKind::Invalid, format!("{key} is written twice in one transaction"))
            }
            CommitError::Unread(unread) => Self::new(FaultKind::Invalid, unread.to_string()),
            CommitError::TooCostly(text) => {
                Self::too_costly(&format!("the criteria are too costly: {text}"))
            }
            CommitError::Busy => Self::new(FaultKind::Busy, "too many writes waiting; retry later"),
            CommitError::Unavailable(cause) => {
                tracing::error!(cause, "the registry did not commit");
                Self::new(FaultKind::Unavailable, "the registry is unavailable; retry later")
            }
            other => {
                tracing::error!(cause = %other, "the commit failed");
                Self::new(FaultKind::Internal, "the write failed")
            }
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unsupported(text) | ReadError::Invalid(text) => {
                Self::new(FaultKind::Invalid, text)
            }
            ReadError::TooCostly(text) => {
                Self::too_costly(&format!("the query is too costly: {text}"))
            }
            ReadError::NotIndexed(text) => Self::new(FaultKind::Unavailable, text),
            ReadError::Forbidden(text) => Self::new(FaultKind::Forbidden, text),
            ReadError::Busy => Self::new(FaultKind::Busy, "too many reads waiting; retry later"),
            ReadError::Unavailable(cause) => {
                tracing::error!(cause, "the registry did not answer");
                Self::new(FaultKind::Unavailable, "the registry is unavailable; retry later")
            }
            other => {
                tracing::error!(cause = %other, "the read failed");
                Self::new(FaultKind::Internal, "the read failed")
            }
        }
    }
}

/// What a refusal repeats of a name or path that a client has made up: little, and nothing that could break a line.
pub(crate) fn brief(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(BRIEF_CHARS_MAX).collect()
}

/// A place in an HTTP request as one in an entry: headers of their own have members of their own (FHIR R4
/// bundle.html#Bundle.entry.request), parameters stand in the URL.
fn in_request(entry: &str, place: &str) -> String {
    let name = place.strip_prefix(HTTP_PLACE).unwrap_or(place);
    let member = match name {
        IF_MATCH => "ifMatch",
        IF_NONE_MATCH => "ifNoneMatch",
        IF_NONE_EXIST => "ifNoneExist",
        _ => "url",
    };
    format!("{entry}.request.{member}")
}

/// `Patient.name[0]` → `name[0]`.
fn after_type(expression: &str) -> &str {
    expression.split_once('.').map_or(expression, |(_, rest)| rest)
}

const BRIEF_CHARS_MAX: usize = 40;
