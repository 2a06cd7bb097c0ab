//! General FHIRPath over resources: compiled once, evaluated within a budget.
//!
//! Serves invariants, FHIRPath Patch and expressions that the search programs do not cover. Never in the hot path.
//! Spec: FHIRPath N1 (hl7.org/fhirpath/N1), FHIR R4 fhirpath.html. Why an evaluator of our own: `docs/adr/012`.
//! Not here: search programs (`fhir::search`), terminology and profiles (asked through [`Host`]).

mod ast;
mod convert;
mod element;
mod equality;
mod error;
mod eval;
mod functions;
mod item;
mod lex;
mod moment;
mod narrative;
mod operators;
mod parse;
mod regexes;
mod types;

use fhir::Node;

pub use element::Element;
pub use equality::nodes_equal;
pub use error::{CompileError, EvaluationError};
pub use eval::{Context, Host, NoHost, STEPS_MAX};
pub use item::{Item, Quantity};
pub use moment::Moment;
pub use narrative::{NarrativeFault, narrative_fault};

/// An expression, parsed and with all its functions known.
#[derive(Debug)]
pub struct Expression {
    root: ast::Expr,
    regexes: regexes::Regexes,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// What is wrong with it and where; also a function that is not known, or too long or too deep a text.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        parse::parse(text).map(|root| Self { root, regexes: regexes::Regexes::default() })
    }

    /// Evaluates on one element.
    ///
    /// # Errors
    /// A value of the wrong type or number for an operation, or the budget of the context is used up.
    pub fn evaluate<'t>(
        &'t self,
        on: Element<'t>,
        context: &Context<'t>,
    ) -> Result<Vec<Item<'t>>, EvaluationError> {
        eval::evaluate(&self.root, on, context, &self.regexes)
    }

    /// Evaluates as a rule: whether the answer is not `false`. An empty answer breaks no rule.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; also when the answer is more than one item.
    pub fn holds<'t>(
        &'t self,
        on: Element<'t>,
        context: &Context<'t>,
    ) -> Result<bool, EvaluationError> {
        let found = self.evaluate(on, context)?;
        Ok(eval::truth(&found)?.unwrap_or(true))
    }
}

/// The resource at a node, as FHIRPath sees it.
#[must_use]
pub fn resource(node: Node<'_>) -> Element<'_> {
    Element::resource(node)
}

/// The order of two values, when they have one (N1 §6.2).
#[must_use]
pub fn order(left: &Element<'_>, right: &Element<'_>) -> Option<std::cmp::Ordering> {
    equality::order(&Item::Element(*left), &Item::Element(*right)).ok().flatten()
}

/// Whether an item is of a type or a kind of it, as `is` says.
#[must_use]
pub fn is_of_type(item: &Item<'_>, name: &str) -> bool {
    types::is_of(item, &types::TypeName { namespace: None, name: name.to_owned() })
}
