//! A custom parameter as the text that `search_param.definition` holds.
//!
//! What decides its rows and what a query may do with it; another text is another parameter, with rows of its own.

use fhir::{CustomParam, ParamKind, ParamLimits, ResourceType};
use serde_json::{Value, json};

/// As text.
pub(super) fn write(param: &CustomParam) -> String {
    let targets: Vec<&str> = match param.targets.len() == ResourceType::all().len() {
        true => vec!["*"],
        false => param.targets.iter().map(|target| target.name()).collect(),
    };
    let parts = param.components.iter();
    let parts: Vec<Value> =
        parts.map(|(code, kind, expression)| json!([code, kind.code(), expression])).collect();
    json!({
        "url": param.url,
        "type": param.kind.code(),
        "expression": param.expression,
        "target": targets,
        "component": parts,
        "comparator": param.limits.comparators,
        "modifier": param.limits.modifiers,
        "chain": param.limits.chain,
        "multipleOr": param.limits.multiple_or,
        "multipleAnd": param.limits.multiple_and,
    })
    .to_string()
}

/// Back from the text.
pub(super) fn read(text: &str, base: ResourceType, code: &str) -> Option<CustomParam> {
    let value: Value = serde_json::from_str(text).ok()?;
    let own = |name: &str| value[name].as_str().map(str::to_owned);
    let list = |name: &str| -> Option<Vec<String>> {
        let items = value[name].as_array()?.iter();
        items.map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let targets = list("target")?;
    let targets = match targets.as_slice() {
        [all] if all == "*" => ResourceType::all().collect(),
        names => names.iter().map(|name| ResourceType::parse(name)).collect::<Option<_>>()?,
    };
    let part = |part: &Value| {
        let text = |at: usize| part[at].as_str().map(str::to_owned);
        Some((text(0)?, ParamKind::parse(&text(1)?)?, text(2)?))
    };
    Some(CustomParam {
        url: own("url")?,
        base,
        code: code.to_owned(),
        kind: ParamKind::parse(&own("type")?)?,
        targets,
        components: value["component"].as_array()?.iter().map(part).collect::<Option<_>>()?,
        expression: own("expression")?,
        limits: ParamLimits {
            comparators: list("comparator"),
            modifiers: list("modifier"),
            chain: list("chain"),
            multiple_or: value["multipleOr"].as_bool()?,
            multiple_and: value["multipleAnd"].as_bool()?,
        },
    })
}
