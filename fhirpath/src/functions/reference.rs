//! Functions that FHIR adds: extensions, values, references, terminology, profiles, narrative.
//!
//! Spec: FHIR R4 fhirpath.html "Additional functions". References are resolved within the document; one to elsewhere
//! gives an item that knows its type alone.

use fhir::{Node, ResourceType};

use super::{Call, Function};
use crate::ast::Expr;
use crate::element::Element;
use crate::error::EvaluationError;
use crate::eval::{Context, Found, Scope, answer, eval, members, single};
use crate::item::Item;
use crate::narrative::narrative_fault;

pub(super) fn call<'t>(call: Call<'_, 't>) -> Found<'t> {
    let Call { function, focus, arguments, scope } = call;
    match function {
        Function::Extension => extension(focus, arguments, scope),
        Function::HasExtension => Ok(answer(Some(!extension(focus, arguments, scope)?.is_empty()))),
        Function::HasValue => Ok(answer(Some(match focus {
            [Item::Element(element)] => element.has_value(),
            [_] => true,
            _ => false,
        }))),
        Function::ValueOf => match focus {
            [Item::Element(element)] if element.has_value() => {
                Ok(vec![Item::Element(*element).simple()])
            }
            _ => Ok(Vec::new()),
        },
        Function::Resolve => {
            let mut found = Vec::new();
            for item in focus {
                found.extend(resolve(item, scope.context)?);
            }
            Ok(found)
        }
        Function::MemberOf | Function::ConformsTo => {
            let [Item::Element(element)] = focus else { return Ok(Vec::new()) };
            let Some(url) = text_of(function, arguments, scope)? else { return Ok(Vec::new()) };
            let host = scope.context.host();
            Ok(answer(match function {
                Function::MemberOf => host.member_of(element, &url),
                _ => host.conforms_to(element, &url),
            }))
        }
        Function::HtmlChecks => {
            let text = single(focus.to_vec(), "htmlChecks()")?.and_then(|item| item.text());
            Ok(answer(text.map(|text| narrative_fault(&text).is_none())))
        }
        _ => Ok(focus.to_vec()),
    }
}

fn text_of<'t>(
    function: Function,
    arguments: &'t [Expr],
    scope: Scope<'_, 't>,
) -> Result<Option<String>, EvaluationError> {
    let Some(argument) = arguments.first() else { return Ok(None) };
    let found = single(eval(argument, scope)?, function.name())?;
    Ok(found.and_then(|item| item.text()).map(std::borrow::Cow::into_owned))
}

fn extension<'t>(focus: &[Item<'t>], arguments: &'t [Expr], scope: Scope<'_, 't>) -> Found<'t> {
    let Some(url) = text_of(Function::Extension, arguments, scope)? else { return Ok(Vec::new()) };
    let mut found = members(focus, "extension", scope.context)?;
    found.retain(|item| {
        let node = item.element().and_then(Element::value);
        node.and_then(|node| node.get("url")?.as_str()).is_some_and(|of| *of == *url)
    });
    Ok(found)
}

/// What a Reference or a URI leads to.
fn resolve<'t>(
    item: &Item<'t>,
    context: &Context<'t>,
) -> Result<Option<Item<'t>>, EvaluationError> {
    let text = match item {
        Item::Element(element) => match element.text() {
            Some(text) => Some(text),
            None => element.value().and_then(|node| node.get("reference")?.as_str()),
        },
        other => other.text(),
    };
    let Some(text) = text else { return Ok(None) };
    let root = context.root_resource();
    if let Some(id) = text.strip_prefix('#') {
        let Some(root_node) = root.value() else { return Ok(None) };
        if id.is_empty() {
            return Ok(Some(Item::Element(root)));
        }
        let contained = root_node.get("contained").into_iter().flat_map(Node::children);
        for each in contained {
            context.tick(1)?;
            if each.get("id").and_then(Node::as_str).is_some_and(|of| *of == *id) {
                return Ok(Some(Item::Element(Element::resource(each))));
            }
        }
        return Ok(None);
    }
    if let Some(found) = entry(&text, root, context)? {
        return Ok(Some(Item::Element(found)));
    }
    Ok(type_in(&text).map(|of| Item::Absent(of.name())))
}

/// The resource of a bundle's entry whose `fullUrl` is meant.
fn entry<'t>(
    text: &str,
    root: Element<'t>,
    context: &Context<'t>,
) -> Result<Option<Element<'t>>, EvaluationError> {
    let document = root.node().tree().root();
    if fhir::type_of(document) != Some(ResourceType::BUNDLE) {
        return Ok(None);
    }
    for entry in document.get("entry").into_iter().flat_map(Node::children) {
        context.tick(1)?;
        let url = entry.get("fullUrl").and_then(Node::as_str).unwrap_or_default();
        let is_it = *url == *text
            || url
                .strip_suffix(text)
                .is_some_and(|base| base.ends_with('/') && !text.contains(':'));
        if is_it && let Some(resource) = entry.get("resource") {
            return Ok(Some(Element::resource(resource)));
        }
    }
    Ok(None)
}

/// The type that a literal reference names: `Patient/1`, `https://x/fhir/Patient/1/_history/2`.
fn type_in(text: &str) -> Option<ResourceType> {
    let path = text.split_once("/_history/").map_or(text, |(path, _)| path);
    let mut parts = path.rsplit('/');
    parts.next()?;
    ResourceType::parse(parts.next()?)
}
