//! In parameters of an operation: a query, or the `Parameters` resource of a POST (FHIR R4 operations.html#request).
//!
//! Each operation lists what it takes. Another name, a second value where one is allowed and a wrong type are refused;
//! what R4 defines and is not done here is refused by name, never skipped.

use actix_web::web::Payload;
use fhir::ReadLimits;
use serde_json::{Value, json};
use terminology::{Canonical, Coding, ValidateOptions, codings_of};

use crate::error::{Answered, Fault, FaultKind, brief};
use crate::http::call::Call;
use crate::http::parameters;

/// A parameter that an operation takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    form: Form,
    repeats: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Text,
    Flag,
    Count,
    Coding,
    Concept,
    Resource,
    Parts,
    /// Defined by R4, not done here.
    Refused,
}

pub(super) const fn text(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Text, repeats: false }
}

pub(super) const fn texts(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Text, repeats: true }
}

pub(super) const fn flag(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Flag, repeats: false }
}

pub(super) const fn count(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Count, repeats: false }
}

pub(super) const fn coding(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Coding, repeats: false }
}

pub(super) const fn concept(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Concept, repeats: false }
}

pub(super) const fn resource(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Resource, repeats: false }
}

pub(super) const fn parts(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Parts, repeats: true }
}

pub(super) const fn refused(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Refused, repeats: true }
}

impl Parameter {
    pub(super) fn is_done(&self) -> bool {
        self.form != Form::Refused
    }
}

/// What was sent: entries of a `Parameters` resource.
#[derive(Debug, Default)]
pub(super) struct Inputs(Vec<Value>);

impl Inputs {
    /// Reads query and body of a request.
    pub(super) async fn read(call: &Call, payload: Payload, known: &[Parameter]) -> Answered<Self> {
        let mut inputs = Self::default();
        for (name, value) in parameters::others(call.query())? {
            inputs.0.push(json!({"name": name, "valueString": value}));
        }
        if call.is_post() {
            let body = call.json_body(payload, call.app.config.server.body_bytes_max).await?;
            if !body.is_empty() {
                inputs.0.extend(entries(body)?);
            }
        }
        inputs.check(known)?;
        Ok(inputs)
    }

    /// As a Parameters resource.
    pub(super) fn to_resource(&self) -> Value {
        json!({"resourceType": "Parameters", "parameter": self.0})
    }

    fn check(&self, known: &[Parameter]) -> Answered<()> {
        for (at, entry) in self.0.iter().enumerate() {
            let name = entry["name"].as_str().unwrap_or_default();
            let parameter = known.iter().find(|parameter| parameter.name == name);
            let Some(parameter) = parameter else {
                let names: Vec<&str> =
                    known.iter().filter(|one| one.is_done()).map(|one| one.name).collect();
                return Err(wrong(name, &format!("is unknown; there are {}", names.join(", "))));
            };
            if !parameter.is_done() {
                let text = format!("the parameter {name} is not supported");
                return Err(Fault::new(FaultKind::Unsupported, text));
            }
            if !parameter.repeats && self.0[..at].iter().any(|other| other["name"] == name) {
                return Err(wrong(name, "may be given once"));
            }
            if !parameter.form.fits(entry) {
                return Err(wrong(name, parameter.form.wanted()));
            }
        }
        Ok(())
    }

    fn entries<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Value> + use<'a, 'n> {
        self.0.iter().filter(move |entry| entry["name"] == name)
    }

    /// The text of a parameter of a primitive type.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.entries(name).find_map(value_text)
    }

    /// All texts of a repeating one.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.entries(name).filter_map(value_text).map(str::to_owned).collect()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let entry = self.entries(name).next()?;
        entry["valueBoolean"].as_bool().or_else(|| value_text(entry).map(|text| text == "true"))
    }

    pub(super) fn count(&self, name: &str) -> Option<usize> {
        let entry = self.entries(name).next()?;
        let number = entry["valueInteger"].as_u64();
        let number = number.or_else(|| value_text(entry)?.parse().ok())?;
        usize::try_from(number).ok()
    }

    pub(super) fn canonicals(&self, name: &str) -> Vec<Canonical> {
        self.texts(name).iter().map(|text| Canonical::parse(text)).collect()
    }

    pub(super) fn coding(&self, name: &str) -> Option<Coding> {
        self.entries(name).find_map(|entry| Coding::of(&entry["valueCoding"]))
    }

    pub(super) fn resource(&self, name: &str) -> Option<&Value> {
        self.entries(name).find_map(|entry| entry.get("resource"))
    }

    /// Parts of each entry of that name.
    pub(super) fn parts(&self, name: &str) -> Vec<&[Value]> {
        self.entries(name).filter_map(|entry| entry["part"].as_array()).map(Vec::as_slice).collect()
    }

    /// How a code is validated.
    pub(super) fn validation(&self) -> ValidateOptions {
        ValidateOptions {
            allow_abstract: self.flag("abstract"),
            display_language: self.text("displayLanguage").map(str::to_owned),
        }
    }

    /// What was asked about: `code` with `system`, `coding`, or the codings of `codeableConcept`.
    pub(super) fn codings(&self, version: &str) -> Answered<Vec<Coding>> {
        if let Some(code) = self.text("code") {
            return Ok(vec![Coding {
                system: self.text("system").map(Into::into),
                version: self.text(version).map(Into::into),
                code: code.into(),
                display: self.text("display").map(Into::into),
            }]);
        }
        if let Some(coding) = self.coding("coding") {
            return Ok(vec![coding]);
        }
        let concept = self.entries("codeableConcept").next();
        let codings = concept.map(|entry| codings_of(&entry["valueCodeableConcept"]));
        codings.filter(|codings| !codings.is_empty()).ok_or_else(|| {
            Fault::new(
                FaultKind::Invalid,
                "give code with system, coding, or codeableConcept with a coding",
            )
        })
    }
}

impl Form {
    fn fits(self, entry: &Value) -> bool {
        let text = value_text(entry);
        match self {
            Self::Text => text.is_some_and(|text| !text.is_empty()),
            Self::Flag => {
                entry["valueBoolean"].is_boolean() || matches!(text, Some("true" | "false"))
            }
            Self::Count => {
                entry["valueInteger"].as_u64().is_some()
                    || text.is_some_and(|text| text.len() < 10 && text.parse::<u32>().is_ok())
            }
            Self::Coding => Coding::of(&entry["valueCoding"]).is_some(),
            Self::Concept => entry["valueCodeableConcept"].is_object(),
            Self::Resource => entry["resource"].is_object(),
            Self::Parts => entry["part"].is_array(),
            Self::Refused => false,
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Text => "takes text",
            Self::Flag => "takes true or false",
            Self::Count => "takes a whole number that is not negative",
            Self::Coding => "takes a valueCoding with a code, in a Parameters resource",
            Self::Concept => "takes a valueCodeableConcept, in a Parameters resource",
            Self::Resource => "takes a resource, in a Parameters resource",
            Self::Parts => "takes parts, in a Parameters resource",
            Self::Refused => "is not supported",
        }
    }
}

/// A primitive's text, whichever `value[x]` carries it.
fn value_text(entry: &Value) -> Option<&str> {
    let (_, value) = entry.as_object()?.iter().find(|(key, _)| key.starts_with("value"))?;
    value.as_str()
}

fn entries(body: Vec<u8>) -> Answered<Vec<Value>> {
    let resource = fhir::read(body, &ReadLimits::default()).map_err(Fault::invalid)?;
    let value: Value = serde_json::from_slice(resource.bytes())
        .map_err(|_| Fault::new(FaultKind::Invalid, "the body cannot be read"))?;
    if value["resourceType"] != "Parameters" {
        return Err(Fault::new(FaultKind::Invalid, "POST a Parameters resource"));
    }
    Ok(value["parameter"].as_array().cloned().unwrap_or_default())
}

fn wrong(name: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Invalid, format!("the parameter {:?} {why}", brief(name)))
}
