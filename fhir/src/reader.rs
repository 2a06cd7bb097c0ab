//! The strict R4 reader: bytes to a document that is a resource, or all that is wrong with it, each with its place.
//!
//! Spec: FHIR R4 json.html, datatypes.html, the element definitions. First the rules of JSON (`tree_build`), then one
//! walk over the document beside the element table. Not here: profiles, invariants, terminology beyond required codes.

use crate::element_table::{ElementTable, Property, TypeDef, TypeId, TypeRef, element_table};
use crate::issue::{Issue, IssueType};
use crate::lines::Lines;
use crate::location::{location, location_below};
use crate::primitive::{Fault, Primitive};
use crate::tree_build::ISSUES_MAX;
use crate::{Kind, Node, ResourceType, Tree};

/// What a request body may be at most; depth, number of values and string length are constants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadLimits {
    /// Longest document.
    pub bytes_max: usize,
    /// Most entries of a bundle.
    pub entries_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { bytes_max: READ_BYTES_MAX, entries_max: READ_ENTRIES_MAX }
    }
}

/// A batch whose own elements are good; each entry is judged by itself.
pub struct BatchRead {
    /// The document.
    pub tree: Tree,
    /// Entries whose resource is not good, with their issues, by ascending place; of a transaction the first.
    pub refused: Vec<(usize, Vec<Issue>)>,
}

/// Reads a resource of any type, with all resources in it.
///
/// # Errors
/// The issues found, at most 50, each with its FHIRPath location.
pub fn read(bytes: Vec<u8>, limits: &ReadLimits) -> Result<Tree, Vec<Issue>> {
    let tree = parse(bytes, limits)?;
    let issues = check_placed(tree.root(), limits);
    if issues.is_empty() {
        Ok(tree)
    } else {
        Err(with_lines(issues, &mut Lines::new(tree.bytes())))
    }
}

/// Reads a bundle so that a bad resource in one entry does not refuse the others. A transaction is refused as a whole, so
/// its entries are read until there are as many issues as one answer tells; of a batch `BATCH_ISSUES_MAX` are told and
/// then one for each further entry.
///
/// # Errors
/// The issues of the JSON text and of the bundle's own elements.
pub fn read_batch(bytes: Vec<u8>, limits: &ReadLimits) -> Result<BatchRead, Vec<Issue>> {
    let tree = parse(bytes, limits)?;
    let root = tree.root();
    let mut reader = Reader::new(limits, true, None);
    reader.resource(root);
    // Entries lie in the document one after the other.
    let mut lines = Lines::new(tree.bytes());
    if !reader.issues.is_empty() {
        return Err(with_lines(reader.issues, &mut lines));
    }
    let is_whole = root.get("type").and_then(Node::as_str).is_some_and(|of| of == "transaction");
    let mut left = if is_whole { ISSUES_MAX } else { BATCH_ISSUES_MAX };
    let mut refused = Vec::new();
    let entries = root.get("entry").into_iter().flat_map(Node::children);
    for (index, entry) in entries.enumerate() {
        let Some(node) = entry.get("resource") else { continue };
        let path = format!("Bundle.entry[{index}].resource");
        let mut reader = Reader::new(limits, false, Some((node, path)));
        reader.resource(node);
        if reader.issues.is_empty() {
            continue;
        }
        if left == 0 {
            let text = "the resource is refused; send it by itself to learn why";
            let at = format!("Bundle.entry[{index}].resource");
            refused.push((index, vec![Issue::error(IssueType::Invalid, text).at(at)]));
            continue;
        }
        left = left.saturating_sub(reader.issues.len());
        refused.push((index, with_lines(reader.issues, &mut lines)));
        if left == 0 && is_whole {
            break;
        }
    }
    Ok(BatchRead { tree, refused })
}

/// Checks a resource within a document that is well-formed; locations start at the document's root.
#[must_use]
pub fn check(node: Node<'_>, limits: &ReadLimits) -> Vec<Issue> {
    check_placed(node, limits).into_iter().map(|(issue, _)| issue).collect()
}

/// The same, with the byte of the document at which each issue lies.
#[must_use]
pub fn check_placed(node: Node<'_>, limits: &ReadLimits) -> Vec<(Issue, usize)> {
    let mut reader = Reader::new(limits, false, None);
    reader.resource(node);
    reader.issues
}

/// Issues that tell line and column in the document, none of them before those told already.
fn with_lines(issues: Vec<(Issue, usize)>, lines: &mut Lines<'_>) -> Vec<Issue> {
    let mut order: Vec<usize> = (0..issues.len()).collect();
    order.sort_by_key(|one| issues[*one].1);
    let (mut told, places): (Vec<Issue>, Vec<usize>) = issues.into_iter().unzip();
    for one in order {
        let (line, column) = lines.of(places[one]);
        told[one].text.push_str(&format!(" (line {line}, column {column})"));
    }
    told
}

fn parse(bytes: Vec<u8>, limits: &ReadLimits) -> Result<Tree, Vec<Issue>> {
    if bytes.len() > limits.bytes_max {
        let text = format!("the document is larger than {} bytes", limits.bytes_max);
        return Err(vec![Issue::error(IssueType::TooLong, text)]);
    }
    Tree::parse(bytes)
}

/// Issues of a batch that are told with all they are.
const BATCH_ISSUES_MAX: usize = 5_000;

/// Recursion is bounded by the depth of the document, which the parser has limited.
struct Reader<'r> {
    table: &'static ElementTable,
    limits: &'r ReadLimits,
    /// Leaves `Bundle.entry.resource` of the outermost bundle alone.
    shell_only: bool,
    /// A resource whose location is known, and it.
    below: Option<(Node<'r>, String)>,
    /// With the byte at which each lies.
    issues: Vec<(Issue, usize)>,
}

impl<'r> Reader<'r> {
    fn new(limits: &'r ReadLimits, shell_only: bool, below: Option<(Node<'r>, String)>) -> Self {
        Self { table: element_table(), limits, shell_only, below, issues: Vec::new() }
    }

    fn location(&self, node: Node<'_>) -> String {
        match &self.below {
            Some((resource, path)) => location_below(*resource, path, node),
            None => location(node),
        }
    }

    fn resource(&mut self, node: Node<'_>) {
        if node.kind() != Kind::Object {
            return self.report(node, IssueType::Structure, "a resource must be an object");
        }
        let Some(name) = node.get("resourceType") else {
            let text = "a resource must say its resourceType";
            return self.report_below(node, "resourceType", IssueType::Required, text);
        };
        let Some(resource_type) = name.as_str().and_then(|name| ResourceType::parse(&name)) else {
            return self.report(name, IssueType::Value, "this is not a resource type of FHIR R4");
        };
        if resource_type == ResourceType::BUNDLE {
            let entries = node.get("entry").map_or(0, |entry| entry.children().count());
            if entries > self.limits.entries_max {
                let text = format!("a bundle may have at most {} entries", self.limits.entries_max);
                return self.report_below(node, "entry", IssueType::TooLong, &text);
            }
        }
        self.object(node, self.table.of_resource(resource_type));
    }

    fn object(&mut self, node: Node<'_>, id: TypeId) {
        if node.kind() != Kind::Object {
            return self.wrong_kind(node, "an object");
        }
        if node.is_empty() {
            return self.report(node, IssueType::Structure, "an object must not be empty");
        }
        let of = self.table.type_def(id);
        let mut seen = 0_u128;
        for member in node.children() {
            let key = member.key().unwrap_or_default();
            if of.is_resource && key == "resourceType" {
                continue;
            }
            let (name, beside) = match key.strip_prefix('_') {
                Some(name) => (name, true),
                None => (key, false),
            };
            let Some(property) = of.find(name).filter(|p| !beside || has_extensions(p)) else {
                self.report(member, IssueType::Structure, "there is no such element here");
                continue;
            };
            let bit = 1 << property.slot;
            if property.is_choice && seen & bit != 0 {
                self.choice(node, member, of, property);
            }
            seen |= bit;
            self.element(node, member, property, beside);
            if self.issues.len() >= ISSUES_MAX {
                return;
            }
        }
        let missing = of.required & !seen;
        if missing != 0 {
            self.missing(node, of, missing);
        }
    }

    fn missing(&mut self, node: Node<'_>, of: &TypeDef, missing: u128) {
        for (slot, name) in of.names.iter().enumerate() {
            if missing & (1 << slot) != 0 {
                let text = "a required element is missing";
                self.report_below(node, name, IssueType::Required, text);
            }
        }
    }

    /// A second property of a choice: only the extensions beside the same one are allowed.
    fn choice(&mut self, node: Node<'_>, member: Node<'_>, of: &TypeDef, property: &Property) {
        let before = node.children().take_while(|other| other.place != member.place);
        let another = before
            .filter_map(|other| of.find(other.key()?.trim_start_matches('_')))
            .any(|other| other.slot == property.slot && !std::ptr::eq(other, property));
        if another {
            let text = "only one type of this choice may be given";
            self.report(member, IssueType::Structure, text);
        }
    }

    fn element(&mut self, object: Node<'_>, member: Node<'_>, property: &Property, beside: bool) {
        if !property.is_list {
            return match member.kind() {
                Kind::Array => self.report(member, IssueType::Structure, "this must not be a list"),
                _ => self.value(member, property, beside),
            };
        }
        if member.kind() != Kind::Array {
            return self.report(member, IssueType::Structure, "this must be a list");
        }
        if member.is_empty() {
            return self.report(member, IssueType::Structure, "a list must not be empty");
        }
        let mut partners = partner_of(object, member, property).map(Node::children);
        for (index, item) in member.children().enumerate() {
            if index == property.max {
                let text = format!("this may occur at most {} times", property.max);
                self.report(member, IssueType::Structure, &text);
                break;
            }
            let partner = partners.as_mut().and_then(Iterator::next);
            let has_partner = partner.is_some_and(|partner| partner.kind() != Kind::Null);
            if item.kind() == Kind::Null && has_partner {
                continue;
            }
            self.value(item, property, beside);
            if self.issues.len() >= ISSUES_MAX {
                return;
            }
        }
    }

    fn value(&mut self, node: Node<'_>, property: &Property, beside: bool) {
        if node.kind() == Kind::Null {
            let text = "null is only allowed in a list, where an extension stands in its place";
            return self.report(node, IssueType::Structure, text);
        }
        if beside {
            return self.object(node, self.table.element);
        }
        match property.of {
            TypeRef::Primitive(primitive) => self.primitive(node, primitive, property),
            TypeRef::Resource => {
                if !self.is_left_alone(node) {
                    self.resource(node);
                }
            }
            TypeRef::Object(id) => {
                self.object(node, id);
                if let Some(place) = property.value_set {
                    self.binding(node, id, place);
                }
            }
        }
    }

    /// In a batch's shell, the resources of its entries are at depth 3: bundle, list, entry.
    fn is_left_alone(&self, node: Node<'_>) -> bool {
        self.shell_only
            && node.key() == Some("resource")
            && node.tree().root().get("entry").is_some_and(|entries| {
                entries.place < node.place && node.place < entries.slot().skip
            })
    }

    fn primitive(&mut self, node: Node<'_>, primitive: Primitive, property: &Property) {
        match primitive.check(node) {
            Ok(()) => {}
            Err(Fault::Kind(name)) => return self.wrong_kind(node, name),
            Err(Fault::Empty) => {
                return self.report(node, IssueType::Value, "a string must not be empty");
            }
            Err(Fault::TooLong) => {
                return self.report(node, IssueType::TooLong, "the value is longer than 1 MiB");
            }
            Err(Fault::Form(form)) => {
                return self.report(node, IssueType::Value, &format!("this must be {form}"));
            }
        }
        let Some(place) = property.value_set else { return };
        let code = node.as_str().unwrap_or_default();
        let set = self.table.value_set(place);
        if !set.has_code(&code) {
            let text = format!("the code is not in the required value set {}", set.told());
            self.report(node, IssueType::CodeInvalid, &text);
        }
    }

    /// A required binding of a Coding, or of a `CodeableConcept`, of which one coding must be in the set.
    fn binding(&mut self, node: Node<'_>, id: TypeId, place: u16) {
        let set = self.table.value_set(place);
        let is_member = |coding: Node<'_>| {
            let text = |key| coding.get(key).and_then(Node::as_str).unwrap_or_default();
            set.has_coding(&text("system"), &text("code"))
        };
        let good = if id == self.table.coding {
            is_member(node) || node.get("code").is_none()
        } else if id == self.table.codeable_concept {
            match node.get("coding") {
                Some(codings) => codings.children().any(is_member),
                None => node.get("extension").is_some(),
            }
        } else {
            true
        };
        if !good {
            let text = format!("no coding is from the required value set {}", set.told());
            self.report(node, IssueType::CodeInvalid, &text);
        }
    }

    fn wrong_kind(&mut self, node: Node<'_>, expected: &str) {
        if node.kind() == Kind::Array {
            return self.report(node, IssueType::Structure, "this must not be a list");
        }
        self.report(node, IssueType::Structure, &format!("this must be {expected}"));
    }

    fn report(&mut self, node: Node<'_>, code: IssueType, text: &str) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push((Issue::error(code, text).at(self.location(node)), node.span().start));
        }
    }

    fn report_below(&mut self, node: Node<'_>, name: &str, code: IssueType, text: &str) {
        if self.issues.len() < ISSUES_MAX {
            let issue = Issue::error(code, text).at(format!("{}.{name}", self.location(node)));
            self.issues.push((issue, node.span().start));
        }
    }
}

/// The other of `name` and `_name`: where one has a null, the other has what it keeps the place for.
fn partner_of<'t>(object: Node<'t>, member: Node<'t>, property: &Property) -> Option<Node<'t>> {
    if !has_extensions(property) {
        return None;
    }
    let key = member.key()?;
    match key.strip_prefix('_') {
        Some(name) => object.get(name),
        None => object.get(&format!("_{key}")),
    }
}

fn has_extensions(property: &Property) -> bool {
    matches!(property.of, TypeRef::Primitive(primitive) if primitive.has_extensions())
}

/// Longest document by default.
pub const READ_BYTES_MAX: usize = 50 * 1024 * 1024;
/// Most entries of a bundle by default.
pub const READ_ENTRIES_MAX: usize = 50_000;

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
