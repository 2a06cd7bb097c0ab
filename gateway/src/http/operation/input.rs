//! What an operation was given: parameters of the URL, or of a `Parameters` resource (FHIR R4 operations.html#request).
//!
//! A name that the operation does not have is refused. Not here: what the parameters mean.

use actix_web::web::Payload;
use fhir::{Node, Tree};

use crate::error::{Answered, Fault, FaultKind, brief};
use crate::http::call::Call;
use crate::http::parameters;
use crate::submission;

/// The parameters of one invocation.
pub(super) struct Input {
    pairs: Vec<(String, String)>,
    body: Option<Tree>,
}

impl Input {
    /// Reads them.
    ///
    /// # Errors
    /// 400 for what is no `Parameters`; 408, 413, 415, 429 as any body.
    pub(super) async fn read(call: &Call, payload: Payload) -> Answered<Self> {
        let pairs = parameters::others(call.query())?;
        let mut body = None;
        if call.is_post() {
            let bytes = call.json_body(payload, call.app.config.server.body_bytes_max).await?;
            if !bytes.is_empty() {
                let tree = submission::read(bytes).await?;
                let name = tree.root().get("resourceType").and_then(Node::as_str);
                if name.as_deref() != Some("Parameters") {
                    let text = "an operation takes a resource of type Parameters";
                    return Err(Fault::new(FaultKind::Invalid, text).at("resourceType"));
                }
                body = Some(tree);
            }
        }
        let input = Self { pairs, body };
        Ok(Self { pairs: input.all_pairs()?, body: input.body })
    }

    /// Refuses any other name.
    ///
    /// # Errors
    /// 400.
    pub(super) fn expect_only(&self, names: &[&str]) -> Answered<()> {
        let given = self.pairs.iter().map(|(name, _)| name.as_str()).chain(self.complex());
        for name in given {
            if !names.contains(&name) {
                let (name, known) = (brief(name), names.join(", "));
                let text = format!("the operation has no parameter {name}; it has {known}");
                return Err(Fault::new(FaultKind::Invalid, text));
            }
        }
        Ok(())
    }

    /// All simple values with their names.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The simple values of a name.
    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The one simple value of a name.
    ///
    /// # Errors
    /// 400 when there are several.
    pub(super) fn text(&self, name: &str) -> Answered<Option<&str>> {
        let named = self.pairs.iter().filter(|(known, _)| known == name);
        let mut values = named.map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Fault::new(FaultKind::Invalid, format!("{name} occurs twice"))),
            (first, None) => Ok(first),
        }
    }

    /// The one simple value of a name, read.
    ///
    /// # Errors
    /// 400 when there are several, or it is malformed.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Answered<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = || {
            let text = format!("{name} must be {}", form_of(name));
            Fault::new(FaultKind::Invalid, text).in_parameter(name)
        };
        parse(text).map(Some).ok_or_else(wrong)
    }

    /// `value[x]` of a parameter of the body that is an object.
    pub(super) fn object(&self, name: &str) -> Option<Node<'_>> {
        let named = self.parameters().find(|one| text(*one, "name").as_deref() == Some(name))?;
        value_of(named).filter(|value| value.kind() == fhir::Kind::Object)
    }

    fn parameters(&self) -> impl Iterator<Item = Node<'_>> {
        let list = self.body.as_ref().and_then(|body| body.root().get("parameter"));
        list.into_iter().flat_map(Node::children)
    }

    /// Names of the parameters that are no simple values.
    fn complex(&self) -> impl Iterator<Item = &str> {
        let complex = self
            .parameters()
            .filter(|one| value_of(*one).is_none_or(|value| value.kind() == fhir::Kind::Object));
        // Names hold no escapes, or they are none that an operation has.
        complex.map(|one| match one.get("name").and_then(Node::as_str) {
            Some(std::borrow::Cow::Borrowed(name)) => name,
            _ => "",
        })
    }

    fn all_pairs(&self) -> Answered<Vec<(String, String)>> {
        let mut pairs = self.pairs.clone();
        for one in self.parameters() {
            let Some(value) = value_of(one) else { continue };
            let value = match value.as_str() {
                Some(text) => text.into_owned(),
                None if value.kind() == fhir::Kind::Object => continue,
                None => String::from_utf8_lossy(value.raw()).into_owned(),
            };
            pairs.push((text(one, "name").unwrap_or_default(), value));
            if pairs.len() > PARAMETERS_MAX {
                let text = format!("an operation takes at most {PARAMETERS_MAX} parameters");
                return Err(Fault::new(FaultKind::Invalid, text));
            }
        }
        Ok(pairs)
    }
}

fn text(node: Node<'_>, key: &str) -> Option<String> {
    node.get(key)?.as_str().map(std::borrow::Cow::into_owned)
}

fn value_of(parameter: Node<'_>) -> Option<Node<'_>> {
    parameter.children().find(|child| child.key().is_some_and(|key| key.starts_with("value")))
}

const PARAMETERS_MAX: usize = 200;

/// What a simple value is, for whoever sent another.
fn form_of(name: &str) -> &'static str {
    match name {
        "_count" | "max" => "a whole number such as 50, and no more than this server gives",
        "start" | "end" => "a date such as 2026-01-31",
        "_since" => "an instant such as 2026-01-31T12:00:00Z",
        "persist" | "dryRun" => "true or false",
        _ => "that of a next link",
    }
}
