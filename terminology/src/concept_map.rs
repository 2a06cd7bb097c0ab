//! A concept map as loaded (FHIR R4 conceptmap.html). Not here: translating (`translate`).

use serde_json::Value;

use crate::canonical::Canonical;
use crate::refusal::Refusal;

/// A concept map.
#[derive(Debug)]
pub struct ConceptMap {
    /// Its `url`; empty for one that came with the question or has none.
    pub url: Box<str>,
    /// Its `version`.
    pub version: Option<Box<str>>,
    /// `active`, `draft`, `retired` or `unknown`.
    pub status: Box<str>,
    /// The value set that the mapped codes come from.
    pub(crate) source: Option<Canonical>,
    /// The value set that they are mapped to.
    pub(crate) target: Option<Canonical>,
    pub(crate) groups: Vec<Group>,
}

/// Mappings from one system to another.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) source: Option<Canonical>,
    pub(crate) target: Option<Canonical>,
    pub(crate) elements: Vec<Element>,
    pub(crate) unmapped: Option<Unmapped>,
}

/// What one code is mapped to. Several elements may name the same code.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) code: Box<str>,
    pub(crate) display: Option<Box<str>>,
    pub(crate) targets: Vec<Target>,
}

/// One mapping.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) code: Option<Box<str>>,
    pub(crate) display: Option<Box<str>>,
    pub(crate) equivalence: Box<str>,
    pub(crate) comment: Option<Box<str>>,
    pub(crate) depends_on: Vec<OtherElement>,
    pub(crate) products: Vec<OtherElement>,
}

/// A further element that the mapping needs or makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OtherElement {
    /// Which element.
    pub(crate) property: Box<str>,
    /// Code system of the value.
    pub(crate) system: Option<Box<str>>,
    /// The value.
    pub(crate) value: Box<str>,
    /// Its text.
    pub(crate) display: Option<Box<str>>,
}

/// What becomes of a code without a mapping.
#[derive(Debug)]
pub(crate) enum Unmapped {
    /// It stays as it is.
    Provided,
    /// This code for all.
    Fixed { code: Box<str>, display: Option<Box<str>> },
    /// What another map says.
    Other(Canonical),
}

impl ConceptMap {
    /// Canonical with version.
    #[must_use]
    pub fn canonical(&self) -> Canonical {
        Canonical { url: self.url.clone(), version: self.version.clone() }
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for an `unmapped` that lacks what its mode needs.
    pub fn of(resource: &Value) -> Result<Self, Refusal> {
        let scope = |name: &str| {
            let uri = resource[format!("{name}Uri")].as_str();
            uri.or(resource[format!("{name}Canonical")].as_str()).map(Canonical::parse)
        };
        Ok(Self {
            url: resource["url"].as_str().unwrap_or_default().into(),
            version: resource["version"].as_str().map(Into::into),
            status: resource["status"].as_str().unwrap_or("unknown").into(),
            source: scope("source"),
            target: scope("target"),
            groups: items(resource, "group").map(group).collect::<Result<_, _>>()?,
        })
    }
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn text(value: &Value, name: &str) -> Option<Box<str>> {
    value[name].as_str().map(Into::into)
}

fn group(one: &Value) -> Result<Group, Refusal> {
    let system = |name: &str, version: &str| {
        one[name].as_str().map(|url| Canonical::new(url, one[version].as_str()))
    };
    let element = |element: &Value| {
        let targets = items(element, "target").map(target).collect();
        let code = text(element, "code")?;
        Some(Element { code, display: text(element, "display"), targets })
    };
    Ok(Group {
        source: system("source", "sourceVersion"),
        target: system("target", "targetVersion"),
        elements: items(one, "element").filter_map(element).collect(),
        unmapped: one.get("unmapped").map(unmapped).transpose()?,
    })
}

fn target(one: &Value) -> Target {
    let others = |name: &str| {
        let other = |other: &Value| {
            Some(OtherElement {
                property: text(other, "property")?,
                system: text(other, "system"),
                value: text(other, "value")?,
                display: text(other, "display"),
            })
        };
        items(one, name).filter_map(other).collect()
    };
    Target {
        code: text(one, "code"),
        display: text(one, "display"),
        equivalence: text(one, "equivalence").unwrap_or_else(|| "relatedto".into()),
        comment: text(one, "comment"),
        depends_on: others("dependsOn"),
        products: others("product"),
    }
}

fn unmapped(one: &Value) -> Result<Unmapped, Refusal> {
    let needed = |name: &str| {
        text(one, name).ok_or_else(|| {
            Refusal::Invalid(format!("ConceptMap.group.unmapped.{name} is missing for its mode"))
        })
    };
    match one["mode"].as_str() {
        Some("provided") => Ok(Unmapped::Provided),
        Some("fixed") => {
            Ok(Unmapped::Fixed { code: needed("code")?, display: text(one, "display") })
        }
        Some("other-map") => Ok(Unmapped::Other(Canonical::parse(&needed("url")?))),
        _ => Err(Refusal::Invalid("ConceptMap.group.unmapped.mode has no known code".to_owned())),
    }
}
