//! Where an expression leads in a resource: locations of elements, or the values of a criterion.
//!
//! Singletons and functions as FHIRPath N1 has them (§4.5, §5). Work is bounded by a [`Budget`].
//! Not here: operators between collections (`operators`), what is done there (`operation`).

mod operators;

use std::cell::Cell;

use crate::patch::element::{Element, Location};
use crate::patch::expression::{Expression, Function, Literal, Refused};

/// One member of a result.
#[derive(Clone)]
pub(super) enum Item {
    /// An element of the resource.
    At(Location),
    /// A value of the system's own.
    Own(Literal),
}

type Items = Result<Vec<Item>, Refused>;

/// The work that is left for all paths of one patch together, in elements looked at; long texts count for more.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    /// What a patch has at its start.
    pub(super) fn new() -> Self {
        Self(Cell::new(STEPS_MAX))
    }

    /// Counts work that is done; what follows an empty budget is refused by [`Budget::step`].
    pub(super) fn charge(&self, steps: usize) {
        self.0.set(self.0.get().saturating_sub(steps));
    }

    fn step(&self) -> Result<(), Refused> {
        self.charge(1);
        match self.0.get() {
            0 => Err(Refused::new("the paths take too long; use fewer or more specific ones")),
            _ => Ok(()),
        }
    }
}

/// Elements that an expression names.
///
/// # Errors
/// When it names values instead, or is not done, or the budget is empty.
pub(super) fn locate(
    expression: &Expression,
    root: &Element,
    budget: &Budget,
) -> Result<Vec<Location>, Refused> {
    budget.step()?;
    let scope = Scope { root, budget };
    let items = scope.evaluate(expression, &Item::At(Location::new()))?;
    let location = |item| match item {
        Item::At(location) => Ok(location),
        Item::Own(_) => Err(Refused::new("the path names a value, not an element")),
    };
    items.into_iter().map(location).collect()
}

struct Scope<'r> {
    root: &'r Element,
    budget: &'r Budget,
}

impl Scope<'_> {
    fn evaluate(&self, expression: &Expression, this: &Item) -> Items {
        match expression {
            Expression::This => Ok(vec![this.clone()]),
            Expression::Root => Ok(vec![Item::At(Location::new())]),
            Expression::Nothing => Ok(Vec::new()),
            Expression::Literal(literal) => Ok(vec![Item::Own(literal.clone())]),
            Expression::Member(from, name) => self.member(&self.evaluate(from, this)?, name),
            Expression::Index(from, index) => {
                Ok(self.evaluate(from, this)?.into_iter().nth(*index).into_iter().collect())
            }
            Expression::Call(from, function, arguments) => {
                let from = self.evaluate(from, this)?;
                self.call(from, *function, arguments, this)
            }
            Expression::OfType(from, of) => {
                let mut kept = self.evaluate(from, this)?;
                let mut failed = None;
                kept.retain(|item| {
                    self.is_of(item, of).unwrap_or_else(|refused| {
                        failed = Some(refused);
                        false
                    })
                });
                failed.map_or(Ok(kept), Err)
            }
            Expression::Is(from, of) => match self.evaluate(from, this)?.as_slice() {
                [] => Ok(Vec::new()),
                [item] => Ok(truth(Some(self.is_of(item, of)?))),
                _ => Err(several()),
            },
            Expression::Binary(left, operator, right) => self.binary(left, *operator, right, this),
        }
    }

    /// Counts work.
    fn step(&self) -> Result<(), Refused> {
        self.budget.step()
    }

    fn member(&self, from: &[Item], name: &str) -> Items {
        let mut out = Vec::new();
        for item in from {
            self.step()?;
            let Item::At(location) = item else { continue };
            let element = self.root.at(location);
            let positions = element.positions(name);
            let is_own_type = positions.is_empty() && name.starts_with(|c: char| c.is_uppercase());
            if is_own_type && element.resource_type().as_deref() == Some(name) {
                out.push(item.clone());
            }
            for position in positions {
                self.push_all(location, position, &mut out)?;
            }
        }
        Ok(out)
    }

    fn push_all(
        &self,
        location: &Location,
        position: usize,
        out: &mut Vec<Item>,
    ) -> Result<(), Refused> {
        for place in 0..self.root.at(location).properties[position].items.len() {
            self.step()?;
            let mut inner = location.clone();
            inner.push((position, place));
            out.push(Item::At(inner));
        }
        Ok(())
    }

    fn call(
        &self,
        mut from: Vec<Item>,
        function: Function,
        arguments: &[Expression],
        this: &Item,
    ) -> Items {
        let bad = || Refused::new("a function of the path has the wrong number of arguments");
        match (function, arguments) {
            (Function::Where, [criterion]) => self.matching(from, criterion),
            (Function::Exists, []) => Ok(truth(Some(!from.is_empty()))),
            (Function::Exists, [criterion]) => {
                Ok(truth(Some(!self.matching(from, criterion)?.is_empty())))
            }
            (Function::All, [criterion]) => {
                let all = from.len();
                Ok(truth(Some(self.matching(from, criterion)?.len() == all)))
            }
            (Function::Empty, []) => Ok(truth(Some(from.is_empty()))),
            (Function::Not, []) => Ok(truth(self.truth_of(&from)?.map(|truth| !truth))),
            (Function::First, []) => Ok(from.into_iter().take(1).collect()),
            (Function::Last, []) => Ok(from.pop().into_iter().collect()),
            (Function::Tail, []) => Ok(from.into_iter().skip(1).collect()),
            (Function::Skip, [count]) => {
                Ok(from.into_iter().skip(self.count(count, this)?).collect())
            }
            (Function::Take, [count]) => {
                Ok(from.into_iter().take(self.count(count, this)?).collect())
            }
            (Function::Single, []) if from.len() > 1 => Err(several()),
            (Function::Single, []) => Ok(from),
            (Function::Count, []) => Ok(vec![Item::Own(Literal::Number(from.len().to_string()))]),
            (Function::Extension, [url]) => {
                let url = self.text_of(&self.evaluate(url, this)?)?.ok_or_else(bad)?;
                let extensions = self.member(&from, "extension")?;
                let has_url = |item: &Item| {
                    let of = self.member(std::slice::from_ref(item), "url")?;
                    Ok(self.text_of(&of)?.as_deref() == Some(&url))
                };
                keep(extensions, has_url)
            }
            (Function::HasValue, []) => Ok(truth(Some(match from.as_slice() {
                [item] => self.own(item).is_some(),
                _ => false,
            }))),
            (Function::Children, []) => {
                let mut out = Vec::new();
                for item in from {
                    let Item::At(location) = item else { continue };
                    for position in 0..self.root.at(&location).properties.len() {
                        self.push_all(&location, position, &mut out)?;
                    }
                }
                Ok(out)
            }
            _ => self.string_function(&from, function, arguments, this, bad),
        }
    }

    fn string_function(
        &self,
        from: &[Item],
        function: Function,
        arguments: &[Expression],
        this: &Item,
        bad: impl Fn() -> Refused,
    ) -> Items {
        let Some(text) = self.text_of(from)? else { return Ok(Vec::new()) };
        let text_item = |text: String| Ok(vec![Item::Own(Literal::Text(text))]);
        if let [argument] = arguments {
            let Some(part) = self.text_of(&self.evaluate(argument, this)?)? else {
                return Ok(Vec::new());
            };
            let holds = match function {
                Function::StartsWith => text.starts_with(&part),
                Function::EndsWith => text.ends_with(&part),
                Function::Contains => text.contains(&part),
                _ => return Err(bad()),
            };
            return Ok(truth(Some(holds)));
        }
        match (function, arguments) {
            (Function::Lower, []) => text_item(text.to_lowercase()),
            (Function::Upper, []) => text_item(text.to_uppercase()),
            (Function::Length, []) => {
                Ok(vec![Item::Own(Literal::Number(text.chars().count().to_string()))])
            }
            _ => Err(bad()),
        }
    }

    fn matching(&self, from: Vec<Item>, criterion: &Expression) -> Items {
        keep(from, |item| {
            self.step()?;
            Ok(self.truth_of(&self.evaluate(criterion, item)?)? == Some(true))
        })
    }

    /// The value of a primitive or literal.
    fn own(&self, item: &Item) -> Option<Literal> {
        match item {
            Item::Own(literal) => Some(literal.clone()),
            Item::At(location) => {
                let element = self.root.at(location);
                let value = element.value.as_deref()?;
                self.budget.charge(value.len() / BYTES_A_STEP);
                Some(match value {
                    "true" | "false" => Literal::Bool(value == "true"),
                    _ => match element.text() {
                        Some(text) => Literal::Text(text),
                        None => Literal::Number(value.to_owned()),
                    },
                })
            }
        }
    }

    /// A collection as one text; `None` when it is empty.
    fn text_of(&self, items: &[Item]) -> Result<Option<String>, Refused> {
        match items {
            [] => Ok(None),
            [item] => match self.own(item) {
                Some(Literal::Text(text)) => Ok(Some(text)),
                _ => Err(Refused::new("the path needs a string where it has another value")),
            },
            _ => Err(several()),
        }
    }

    /// A collection as a truth: what is one thing and no boolean is true (N1 §4.5).
    fn truth_of(&self, items: &[Item]) -> Result<Option<bool>, Refused> {
        match items {
            [] => Ok(None),
            [item] => match self.own(item) {
                Some(Literal::Bool(truth)) => Ok(Some(truth)),
                _ => Ok(Some(true)),
            },
            _ => Err(several()),
        }
    }

    fn count(&self, expression: &Expression, this: &Item) -> Result<usize, Refused> {
        match self.evaluate(expression, this)?.as_slice() {
            [item] => match self.own(item) {
                Some(Literal::Number(digits)) => {
                    digits.parse().map_err(|_| Refused::new("a count is a whole number"))
                }
                _ => Err(Refused::new("a count is a whole number")),
            },
            _ => Err(Refused::new("a count is one number")),
        }
    }

    /// Whether an item is of a type: the choice's own, or the resource's.
    fn is_of(&self, item: &Item, of: &str) -> Result<bool, Refused> {
        let Item::At(location) = item else {
            return Err(Refused::new("types of literals are not asked in paths"));
        };
        if let Some(name) = self.root.at(location).resource_type() {
            return Ok(name == of || matches!(of, "Resource" | "DomainResource"));
        }
        let Some(((position, _), parents)) = location.split_last() else { return Ok(false) };
        let parent = self.root.at(parents);
        let key = &parent.properties[*position].key;
        let base = parent.base_name(key);
        if base.len() == key.len() {
            return Err(Refused::new("only a choice of types is asked for its type in paths"));
        }
        Ok(key[base.len()..].eq_ignore_ascii_case(of))
    }
}

fn keep(items: Vec<Item>, mut holds: impl FnMut(&Item) -> Result<bool, Refused>) -> Items {
    let mut kept = Vec::new();
    for item in items {
        if holds(&item)? {
            kept.push(item);
        }
    }
    Ok(kept)
}

fn truth(value: Option<bool>) -> Vec<Item> {
    value.map(|value| Item::Own(Literal::Bool(value))).into_iter().collect()
}

fn several() -> Refused {
    Refused::new("the path needs one value where it has several")
}

/// Most elements that the paths of one patch look at, together: 0.4 s of a core.
const STEPS_MAX: usize = 2_000_000;
/// Bytes of a text that are copied and compared in the time of a step.
const BYTES_A_STEP: usize = 512;
