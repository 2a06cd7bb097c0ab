//! `$validate-code` of CodeSystem and ValueSet.
//!
//! Spec: FHIR R4 codesystem-operation-validate-code.html, valueset-operation-validate-code.html. Of several codings one
//! has to hold. A display is one of the concept's texts, in any case; another makes the answer false and names the
//! right one. An abstract code is refused where the request says `abstract=false`.

use serde_json::Value;

use crate::code_system::CodeSystem;
use crate::coding::Coding;
use crate::member::{Found, contains, texts};
use crate::parameters::Parameters;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::value_set::ValueSet;

/// What else was asked.
#[derive(Clone, Debug, Default)]
pub struct ValidateOptions {
    /// Whether abstract codes count; `None` leaves it open.
    pub allow_abstract: Option<bool>,
    /// Language of the display.
    pub display_language: Option<String>,
}

/// The answer.
#[derive(Debug)]
pub struct Validation {
    /// Whether a coding holds.
    pub result: bool,
    /// Why not, or a hint.
    pub message: Option<String>,
    /// The member it is.
    pub found: Option<Found>,
}

impl Validation {
    /// As a Parameters resource.
    #[must_use]
    pub fn to_resource(&self) -> Value {
        let mut out = Parameters::default();
        out.put("result", "valueBoolean", self.result);
        if let Some(message) = &self.message {
            out.put("message", "valueString", message.as_str());
        }
        if let Some(display) = self.found.as_ref().and_then(|found| found.display.as_deref()) {
            out.put("display", "valueString", display);
        }
        out.to_resource()
    }

    fn no(message: String) -> Self {
        Self { result: false, message: Some(message), found: None }
    }
}

/// Validates codings against a code system.
///
/// # Errors
/// [`Refusal::Invalid`] without any coding.
pub fn validate_in_code_system(
    system: &CodeSystem,
    codings: &[Coding],
    options: &ValidateOptions,
) -> Result<Validation, Refusal> {
    first_that_holds(codings, |coding| {
        if coding.system.as_ref().is_some_and(|own| *own != system.url) {
            let text = format!("{} is of another system than {}", coding.label(), system.url);
            return Ok(Validation::no(text));
        }
        if coding.version.is_some() && coding.version != system.version {
            let text =
                format!("{} is of another version than {}", coding.label(), system.canonical());
            return Ok(Validation::no(text));
        }
        let Some(concept) = system.find(&coding.code) else {
            let part = if system.is_partial() { ", of which only a part is here" } else { "" };
            let text = format!("{:?} is no code of {}{part}", coding.code, system.canonical());
            return Ok(Validation::no(text));
        };
        let found = Found {
            system: Some(system.url.clone()),
            version: system.version.clone(),
            code: concept.code.clone(),
            display: system.display(concept, options.display_language.as_deref()).map(Into::into),
            texts: texts(concept.display.as_deref(), &concept.designations),
            is_abstract: concept.is_abstract,
            is_inactive: concept.is_inactive,
        };
        Ok(judge(coding, found, options))
    })
}

/// Validates codings against a value set.
///
/// # Errors
/// [`Refusal`], also when a code system that decides it is unknown.
pub fn validate_in_value_set(
    value_set: &ValueSet,
    codings: &[Coding],
    options: &ValidateOptions,
    shelf: &Shelf,
) -> Result<Validation, Refusal> {
    let language = options.display_language.as_deref();
    first_that_holds(codings, |coding| {
        Ok(match contains(value_set, coding, language, shelf)? {
            Some(found) => judge(coding, found, options),
            None => Validation::no(format!("{} is not in {}", coding.label(), value_set.label())),
        })
    })
}

fn first_that_holds(
    codings: &[Coding],
    mut validate: impl FnMut(&Coding) -> Result<Validation, Refusal>,
) -> Result<Validation, Refusal> {
    let mut refused: Option<Validation> = None;
    for coding in codings {
        let answer = validate(coding)?;
        if answer.result {
            return Ok(answer);
        }
        refused = match refused {
            None => Some(answer),
            Some(mut first) => {
                let messages = [first.message.take(), answer.message];
                first.message = Some(messages.into_iter().flatten().collect::<Vec<_>>().join("; "));
                first.found = first.found.or(answer.found);
                Some(first)
            }
        };
    }
    refused.ok_or_else(|| Refusal::Invalid("there is no code to validate".to_owned()))
}

fn judge(coding: &Coding, found: Found, options: &ValidateOptions) -> Validation {
    if found.is_abstract && options.allow_abstract == Some(false) {
        let message = Some(format!("{} is abstract", coding.label()));
        return Validation { result: false, message, found: Some(found) };
    }
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if let Some(display) = &coding.display {
        let wanted = plain(display);
        let of_language = found.display.iter().chain(&found.texts);
        let is_right =
            found.texts.is_empty() || of_language.into_iter().any(|text| plain(text) == wanted);
        if !is_right {
            let right = found.display.as_deref().unwrap_or_default();
            let message =
                Some(format!("{display:?} is no display of {}; it is {right:?}", coding.label()));
            return Validation { result: false, message, found: Some(found) };
        }
    }
    let hint = if found.is_inactive {
        Some(format!("{} is inactive", coding.label()))
    } else if found.code != coding.code {
        Some(format!("the code is written {:?}", found.code))
    } else {
        None
    };
    Validation { result: true, message: hint, found: Some(found) }
}
