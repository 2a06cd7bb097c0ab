//! Writer of `Parameters` resources (FHIR R4 parameters.html).

use serde_json::{Value, json};

/// Parameters in order.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<Value>);

impl Parameters {
    pub(crate) fn put(&mut self, name: &str, field: &str, value: impl Into<Value>) {
        self.0.push(json!({"name": name, field: value.into()}));
    }

    pub(crate) fn push(&mut self, parameter: Value) {
        self.0.push(parameter);
    }

    pub(crate) fn to_resource(&self) -> Value {
        json!({"resourceType": "Parameters", "parameter": self.0})
    }
}
