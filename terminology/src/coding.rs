//! A code with its system, as questions carry it (FHIR R4 datatypes.html#Coding).

use serde_json::{Value, json};

/// A code in a system.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Coding {
    /// The code system; `None` where the place implies it.
    pub system: Option<Box<str>>,
    /// Its version.
    pub version: Option<Box<str>>,
    /// The code.
    pub code: Box<str>,
    /// What the sender calls it.
    pub display: Option<Box<str>>,
}

impl Coding {
    /// A code of a system.
    #[must_use]
    pub fn new(system: &str, code: &str) -> Self {
        Self { system: Some(system.into()), code: code.into(), ..Self::default() }
    }

    /// From the JSON of a Coding; `None` when it has no code.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(Into::into);
        Some(Self {
            system: text("system"),
            version: text("version"),
            code: text("code")?,
            display: text("display"),
        })
    }

    /// As the JSON of a Coding.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut out = json!({});
        let fields = [("system", &self.system), ("version", &self.version)];
        for (name, field) in fields {
            if let Some(text) = field {
                out[name] = text.as_ref().into();
            }
        }
        out["code"] = self.code.as_ref().into();
        if let Some(display) = &self.display {
            out["display"] = display.as_ref().into();
        }
        out
    }

    /// `system#code` for messages.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.system {
            Some(system) => format!("{system}#{}", self.code),
            None => self.code.to_string(),
        }
    }
}

/// The codings of a CodeableConcept's JSON that have a code.
#[must_use]
pub fn codings_of(concept: &Value) -> Vec<Coding> {
    concept["coding"].as_array().into_iter().flatten().filter_map(Coding::of).collect()
}
