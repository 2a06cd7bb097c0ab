//! Evaluation: the tree of an expression on a collection, step by step within a budget.
//!
//! Spec: FHIRPath N1 §4–§6. Recursion is bounded by the height of the tree, work by [`STEPS_MAX`].
//! Not here: the functions (`functions`), equality (`equality`), conversion (`convert`).

use std::cell::Cell;

use crate::ast::Expr;
use crate::element::Element;
use crate::error::EvaluationError;
use crate::functions::call;
use crate::item::{Item, Quantity, UCUM};
use crate::moment::Moment;
use crate::operators::binary;
use crate::regexes::Regexes;
use crate::types::{is_of, is_root_of};

/// What an expression may ask of what is around it.
pub trait Host {
    /// Whether a coded element has a code of a value set; `None` when that cannot be known.
    fn member_of(&self, element: &Element<'_>, value_set: &str) -> Option<bool>;
    /// Whether an element conforms to a profile; `None` when that cannot be known.
    fn conforms_to(&self, element: &Element<'_>, profile: &str) -> Option<bool>;
}

/// A host that knows nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoHost;

impl Host for NoHost {
    fn member_of(&self, _: &Element<'_>, _: &str) -> Option<bool> {
        None
    }

    fn conforms_to(&self, _: &Element<'_>, _: &str) -> Option<bool> {
        None
    }
}

/// What `%resource` and `%rootResource` are, who answers for terminology and profiles, and how many steps are left.
///
/// One context may serve many evaluations on one document; they share its budget.
pub struct Context<'t> {
    resource: Element<'t>,
    root_resource: Element<'t>,
    host: &'t dyn Host,
    steps: Cell<u64>,
    now: Option<Moment>,
}

impl<'t> Context<'t> {
    /// A context with the budget of [`STEPS_MAX`].
    #[must_use]
    pub fn new(resource: Element<'t>, root_resource: Element<'t>, host: &'t dyn Host) -> Self {
        let steps = Cell::new(STEPS_MAX);
        Self { resource, root_resource, host, steps, now: None }
    }

    /// The same with another budget.
    #[must_use]
    pub fn with_steps(self, steps: u64) -> Self {
        self.steps.set(steps);
        self
    }

    /// The same with a clock that stands at an instant of FHIR, for `now()` and its like.
    #[must_use]
    pub fn at(self, instant: &str) -> Self {
        Self { now: Moment::date_time(instant), ..self }
    }

    pub(crate) fn now(&self) -> Option<Moment> {
        self.now
    }

    /// Steps that are left.
    #[must_use]
    pub fn steps_left(&self) -> u64 {
        self.steps.get()
    }

    /// What `%resource` is.
    #[must_use]
    pub fn resource(&self) -> Element<'t> {
        self.resource
    }

    pub(crate) fn tick(&self, steps: usize) -> Result<(), EvaluationError> {
        let left = self.steps.get().checked_sub(steps as u64).ok_or(EvaluationError::Budget)?;
        self.steps.set(left);
        Ok(())
    }

    pub(crate) fn root_resource(&self) -> Element<'t> {
        self.root_resource
    }

    pub(crate) fn host(&self) -> &'t dyn Host {
        self.host
    }
}

/// What an expression within a function's brackets sees.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a, 't> {
    /// `$this`: one item within `where` and its like, the start otherwise.
    pub(crate) focus: &'a [Item<'t>],
    pub(crate) index: Option<usize>,
    pub(crate) total: Option<&'a [Item<'t>]>,
    /// `%context`
    pub(crate) start: Element<'t>,
    pub(crate) context: &'a Context<'t>,
    pub(crate) regexes: &'a Regexes,
}

/// Evaluates on one element.
pub(crate) fn evaluate<'t>(
    expr: &'t Expr,
    on: Element<'t>,
    context: &Context<'t>,
    regexes: &Regexes,
) -> Result<Vec<Item<'t>>, EvaluationError> {
    let focus = [Item::Element(on)];
    eval(expr, Scope { focus: &focus, index: None, total: None, start: on, context, regexes })
}

/// The items that an expression gives.
pub(crate) fn eval<'t>(expr: &'t Expr, scope: Scope<'_, 't>) -> Found<'t> {
    scope.context.tick(1)?;
    match expr {
        Expr::Empty => Ok(Vec::new()),
        Expr::Literal(item) => Ok(vec![item.clone()]),
        Expr::This => Ok(scope.focus.to_vec()),
        Expr::Index => {
            Ok(scope.index.map(|place| Item::Integer(place as i64)).into_iter().collect())
        }
        Expr::Total => Ok(scope.total.unwrap_or_default().to_vec()),
        Expr::Variable(name) => variable(name, scope),
        Expr::Member(None, name) => match scope.focus {
            [only] if is_root_of(only, name) => Ok(vec![only.clone()]),
            focus => members(focus, name, scope.context),
        },
        Expr::Member(Some(base), name) => {
            let base = eval(base, scope)?;
            members(&base, name, scope.context)
        }
        Expr::Call(base, function, arguments) => match base {
            Some(base) => call(*function, &eval(base, scope)?, arguments, scope),
            None => call(*function, scope.focus, arguments, scope),
        },
        Expr::At(base, place) => {
            let base = eval(base, scope)?;
            let place = single(eval(place, scope)?, "[]")?;
            let Some(Item::Integer(place)) = place.map(|item| item.simple()) else {
                return Ok(Vec::new());
            };
            let item = usize::try_from(place).ok().and_then(|place| base.into_iter().nth(place));
            Ok(item.into_iter().collect())
        }
        Expr::Negative(inner) => {
            match single(eval(inner, scope)?, "-")?.map(|item| item.simple()) {
                None => Ok(Vec::new()),
                Some(Item::Integer(whole)) => Ok(vec![Item::Integer(-whole)]),
                Some(Item::Decimal(number)) => Ok(vec![Item::Decimal(-number)]),
                Some(Item::Quantity(q)) => {
                    Ok(vec![Item::Quantity(Quantity { value: -q.value, ..q })])
                }
                Some(_) => Err(EvaluationError::Type("-")),
            }
        }
        Expr::Is(base, of) => {
            let item = single(eval(base, scope)?, "is")?;
            Ok(item.map(|item| Item::Boolean(is_of(&item, of))).into_iter().collect())
        }
        Expr::As(base, of) => {
            let base = eval(base, scope)?;
            scope.context.tick(base.len())?;
            Ok(base.into_iter().filter(|item| is_of(item, of)).collect())
        }
        Expr::Binary(op, left, right) => binary(*op, left, right, scope),
    }
}

fn variable<'t>(name: &str, scope: Scope<'_, 't>) -> Found<'t> {
    let text = |url: String| Ok(vec![Item::String(url.into())]);
    match name {
        "context" => Ok(vec![Item::Element(scope.start)]),
        "resource" => Ok(vec![Item::Element(scope.context.resource)]),
        "rootResource" => Ok(vec![Item::Element(scope.context.root_resource)]),
        "ucum" => text(UCUM.to_owned()),
        "sct" => text("http://snomed.info/sct".to_owned()),
        "loinc" => text("http://loinc.org".to_owned()),
        _ => match name.split_once('-') {
            Some(("vs", rest)) => text(format!("http://hl7.org/fhir/ValueSet/{rest}")),
            Some(("ext", rest)) => text(format!("http://hl7.org/fhir/StructureDefinition/{rest}")),
            _ => Err(EvaluationError::Variable(name.to_owned())),
        },
    }
}

/// The elements of a name of all items.
pub(crate) fn members<'t>(focus: &[Item<'t>], name: &str, context: &Context<'t>) -> Found<'t> {
    let mut found = Vec::new();
    for item in focus {
        context.tick(1)?;
        if let Item::Type(of) = item {
            let text = match name {
                "namespace" => of.namespace.clone(),
                "name" => Some(of.name.clone()),
                _ => None,
            };
            found.extend(text.map(|text| Item::String(text.into())));
        }
        if let Item::Element(element) = item {
            let before = found.len();
            element.member(name, |child| found.push(Item::Element(child)));
            context.tick(found.len() - before)?;
        }
    }
    Ok(found)
}

/// The only item; `None` when there is none.
pub(crate) fn single<'t>(
    items: Vec<Item<'t>>,
    what: &'static str,
) -> Result<Option<Item<'t>>, EvaluationError> {
    let mut items = items.into_iter();
    let first = items.next();
    match items.next() {
        None => Ok(first),
        Some(_) => Err(EvaluationError::NotSingle(what)),
    }
}

/// A collection as a truth value: one item that is no truth value is true (N1 §4.5).
pub(crate) fn truth(items: &[Item<'_>]) -> Result<Option<bool>, EvaluationError> {
    match items {
        [] => Ok(None),
        [only] => match only.simple() {
            Item::Boolean(value) => Ok(Some(value)),
            _ => Ok(Some(true)),
        },
        _ => Err(EvaluationError::NotSingle("a condition")),
    }
}

/// A truth value as a collection; unknown is empty.
pub(crate) fn answer(value: Option<bool>) -> Vec<Item<'static>> {
    value.map(Item::Boolean).into_iter().collect()
}

/// What an evaluation gives.
pub(crate) type Found<'t> = Result<Vec<Item<'t>>, EvaluationError>;

/// Steps of one context by default: some tenths of a second.
pub const STEPS_MAX: u64 = 2_000_000;
