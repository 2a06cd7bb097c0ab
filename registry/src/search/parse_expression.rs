//! The paths of `_filter`: [`Expression`] → [`Filter`], the same tree that ordinary parameters make.
//!
//! Spec: FHIR R4 search_filter.html. A path of several names is a chain; `reference[filter].name` wants the resource that
//! is referred to to pass both. The additional parameters that R4 has values for ([`GROUPS`]) compare two
//! children of one element, as their composite does. Errors give the place in the text.
//! Not here: the grammar (`expression`), operators (`operator`), chains (`parse_chain`).

use fhir::ResourceType;

use super::clause::Filter;
use super::expression::{Expression, Step, Test, parse, wrong_at};
use super::in_force::search_param;
use super::parse_chain::{follow, referring};
use super::parse_filter::{Context, Field};
use crate::error::ReadError;

/// The filter of `_filter=text` on type `of`.
pub(super) fn filter(
    of: ResourceType,
    text: &str,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    read(of, &parse(text)?, context)
}

fn read(
    of: ResourceType,
    expression: &Expression,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    let each = |several: &[Expression]| {
        several.iter().map(|one| read(of, one, context)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match expression {
        Expression::All(several) => Filter::All(each(several)?),
        Expression::Any(several) => Filter::Any(each(several)?),
        Expression::Not(inner) => Filter::Not(Box::new(read(of, inner, context)?)),
        Expression::Test(test) => path(of, &test.path, test, context)?,
    })
}

/// The rest of a path, from a resource of type `of`.
fn path(
    of: ResourceType,
    path: &[Step],
    test: &Test,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    let [step, rest @ ..] = path else { return Err(wrong_at(test.operator_at, "no name")) };
    if let Some(has) = step.name.strip_prefix("_has:") {
        return referred_by(of, has, step, rest, test, context);
    }
    if step.filter.is_some()
        && let Some(group) = GROUPS.iter().find(|group| group.of == of && group.name == step.name)
    {
        return group.filter(step, rest, test, context);
    }
    if rest.is_empty() {
        return compared(of, step, test, context);
    }
    let name: Vec<_> = path.iter().map(|step| step.name.as_str()).collect();
    let name = name.join(".");
    let mut read_there = |target: ResourceType, context: &Context<'_>| {
        let behind = self::path(target, rest, test, context)?;
        let Some(filter) = &step.filter else { return Ok(Some(behind)) };
        Ok(Some(Filter::All(vec![read(target, filter, context)?, behind])))
    };
    let found = follow(of, &step.name, &name, context, &mut read_there);
    found.map_err(|error| at(step.at, error))?.ok_or_else(|| unknown(of, step))
}

/// `_has:Type:reference:name`, as in the names of ordinary parameters.
fn referred_by(
    of: ResourceType,
    has: &str,
    step: &Step,
    rest: &[Step],
    test: &Test,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    let parts: Vec<_> = has.splitn(3, ':').collect();
    let [source, reference, inner] = parts[..] else {
        return Err(wrong_at(step.at, "_has is written _has:Type:reference:name"));
    };
    let name_at = step.at + step.name.len() - inner.len();
    let own = Step { name: inner.to_owned(), filter: step.filter.clone(), at: name_at };
    let behind: Vec<_> = std::iter::once(own).chain(rest.iter().cloned()).collect();
    let mut read_there = |source: ResourceType, context: &Context<'_>| {
        path(source, &behind, test, context).map(Some)
    };
    referring(of, source, reference, &step.name, context, &mut read_there)
        .map_err(|error| at(step.at, error))
}

/// The last name of a path.
fn compared(
    of: ResourceType,
    step: &Step,
    test: &Test,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    let param = search_param(of, &step.name).ok_or_else(|| unknown(of, step))?;
    let field = Field { of, param, name: &step.name, context };
    let place = match super::operator::operators(param).contains(&&*test.operator) {
        true => test.value_at,
        false => test.operator_at,
    };
    field.compared(&test.operator, &test.value).map_err(|error| at(place, error))
}

/// An additional parameter of R4: elements of which two children are compared together.
struct Group {
    of: ResourceType,
    name: &'static str,
    /// The parameter that pairs them.
    composite: &'static str,
    /// Names of the children in the order of the composite.
    children: [&'static str; 2],
}

impl Group {
    /// `name[child eq …].child eq …`, either way round; `re` on a child that is a reference.
    fn filter(
        &self,
        step: &Step,
        rest: &[Step],
        test: &Test,
        context: &Context<'_>,
    ) -> Result<Filter, ReadError> {
        let wrong = || {
            let [a, b] = self.children;
            let name = self.name;
            wrong_at(
                step.at,
                &format!(
                    "{name} is written {name}[{a} eq …].{b} eq …, or {b} in the brackets; a \
                     reference is compared by re"
                ),
            )
        };
        let Some(Expression::Test(inner)) = step.filter.as_deref() else { return Err(wrong()) };
        let ([outer_name], [inner_name]) = (rest, &inner.path[..]) else { return Err(wrong()) };
        let param = search_param(self.of, self.composite).ok_or_else(wrong)?;
        let mut values = Vec::with_capacity(2);
        for (child, part) in self.children.iter().zip(param.components) {
            let is_child = |step: &Step| step.name == *child && step.filter.is_none();
            let operator = if part.kind == fhir::ParamKind::Reference { "re" } else { "eq" };
            let pairs = [(outer_name, test), (inner_name, inner)].into_iter();
            let mut own = pairs.filter(|(step, _)| is_child(step));
            let (Some((_, test)), None) = (own.next(), own.next()) else { return Err(wrong()) };
            if test.operator != operator || test.value.contains('\\') {
                return Err(wrong());
            }
            values.push(test.value.replace('$', "\\$"));
        }
        let field = Field { of: self.of, param, name: self.name, context };
        let found = field.compared("eq", &values.join("$"));
        found.map_err(|error| at(test.value_at, error))
    }
}

fn unknown(of: ResourceType, step: &Step) -> ReadError {
    wrong_at(step.at, &format!("{of} has no search parameter {:?}", step.name))
}

/// The error with its place, unless it has one.
fn at(place: usize, error: ReadError) -> ReadError {
    let with_place = |text: String| match text.starts_with("_filter, ") {
        true => text,
        false => format!("_filter, character {place}: {text}"),
    };
    match error {
        ReadError::Invalid(text) => ReadError::Invalid(with_place(text)),
        ReadError::Unsupported(text) => ReadError::Unsupported(with_place(text)),
        ReadError::TooCostly(text) => ReadError::TooCostly(with_place(text)),
        other => other,
    }
}

/// Those whose children are search parameters of R4; the others of the standard's table (`related` of Observation,
/// `event` and `item` of ServiceRequest) name parameters that R4 no longer has.
const GROUPS: [Group; 2] = [
    Group {
        of: ResourceType::DOCUMENT_REFERENCE,
        name: "relatesTo",
        composite: "relationship",
        children: ["code", "target"],
    },
    Group {
        of: ResourceType::GROUP,
        name: "characteristic",
        composite: "characteristic-value",
        children: ["code", "value"],
    },
];
