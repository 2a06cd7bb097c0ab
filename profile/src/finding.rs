//! What a validation says: an issue and the byte where it belongs.

use fhir::{Issue, IssueType, Node, Severity, location};

/// One issue with its place in the document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What is wrong, with its FHIRPath location.
    pub issue: Issue,
    /// First byte of the element in the document.
    pub at: usize,
}

impl Finding {
    /// An issue at a node.
    pub(crate) fn at(node: Node<'_>, severity: Severity, code: IssueType, text: String) -> Self {
        let issue = Issue { severity, ..Issue::error(code, text) }.at(location(node));
        Self { issue, at: node.span().start }
    }

    /// An issue about an element that is not there, or about all of a name.
    pub(crate) fn below(node: Node<'_>, name: &str, code: IssueType, text: String) -> Self {
        let place = format!("{}.{name}", location(node));
        Self { issue: Issue::error(code, text).at(place), at: node.span().start }
    }

    /// Whether it makes the resource invalid.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.issue.severity, Severity::Error | Severity::Fatal)
    }

    /// Line and column of the place, both from 1, columns in characters.
    #[must_use]
    pub fn line_and_column(&self, document: &[u8]) -> (usize, usize) {
        let before = &document[..self.at.min(document.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        (line, column)
    }
}

/// Most findings of one validation; then it stops.
pub const FINDINGS_MAX: usize = 200;
