//! Operators of a path between two collections: logic, equality, order, membership.
//!
//! Spec: FHIRPath N1 §6; three-valued, an empty side is unknown. Not here: what the sides are (`super`).

use std::cmp::Ordering;

use super::{Item, Items, Scope, several, truth};
use crate::patch::expression::{Expression, Literal, Operator, Refused};
use crate::patch::number;

impl Scope<'_> {
    pub(super) fn binary(
        &self,
        left: &Expression,
        operator: Operator,
        right: &Expression,
        this: &Item,
    ) -> Items {
        let (left, right) = (self.evaluate(left, this)?, self.evaluate(right, this)?);
        let both = || Ok::<_, Refused>((self.truth_of(&left)?, self.truth_of(&right)?));
        let result = match operator {
            Operator::And => match both()? {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Operator::Or => or(both()?),
            Operator::Xor => match both()? {
                (Some(one), Some(two)) => Some(one != two),
                _ => None,
            },
            Operator::Implies => {
                let (one, two) = both()?;
                or((one.map(|one| !one), two))
            }
            Operator::Equal => self.equal(&left, &right)?,
            Operator::NotEqual => self.equal(&left, &right)?.map(|equal| !equal),
            Operator::Like => Some(self.like(&left, &right)?),
            Operator::NotLike => Some(!self.like(&left, &right)?),
            Operator::In => self.is_in(&left, &right)?,
            Operator::Contains => self.is_in(&right, &left)?,
            Operator::Union => {
                let mut out = left;
                for item in right {
                    if !self.any_equal(&out, &item)? {
                        out.push(item);
                    }
                }
                return Ok(out);
            }
            Operator::Greater => self.order(&left, &right)?.map(Ordering::is_gt),
            Operator::Less => self.order(&left, &right)?.map(Ordering::is_lt),
            Operator::AtLeast => self.order(&left, &right)?.map(Ordering::is_ge),
            Operator::AtMost => self.order(&left, &right)?.map(Ordering::is_le),
        };
        Ok(truth(result))
    }

    fn equal(&self, left: &[Item], right: &[Item]) -> Result<Option<bool>, Refused> {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        let mut equal = left.len() == right.len();
        for (one, two) in left.iter().zip(right) {
            self.step()?;
            equal = equal && self.same(one, two);
        }
        Ok(Some(equal))
    }

    /// Equivalence: letters of either case, spaces run together.
    fn like(&self, left: &[Item], right: &[Item]) -> Result<bool, Refused> {
        let plain =
            |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        match (left, right) {
            ([], []) => Ok(true),
            ([one], [two]) => {
                let text = |item| match self.own(item) {
                    Some(Literal::Text(text)) => Some(plain(text)),
                    _ => None,
                };
                match (text(one), text(two)) {
                    (Some(one), Some(two)) => Ok(one == two),
                    _ => Ok(self.same(one, two)),
                }
            }
            _ => Ok(self.equal(left, right)? == Some(true)),
        }
    }

    fn is_in(&self, one: &[Item], all: &[Item]) -> Result<Option<bool>, Refused> {
        match one {
            [] => Ok(None),
            [one] => self.any_equal(all, one).map(Some),
            _ => Err(several()),
        }
    }

    fn any_equal(&self, all: &[Item], one: &Item) -> Result<bool, Refused> {
        for other in all {
            self.step()?;
            if self.same(other, one) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn order(&self, left: &[Item], right: &[Item]) -> Result<Option<Ordering>, Refused> {
        let ([one], [two]) = (left, right) else {
            return if left.len() > 1 || right.len() > 1 { Err(several()) } else { Ok(None) };
        };
        match (self.own(one), self.own(two)) {
            (Some(Literal::Number(one)), Some(Literal::Number(two))) => {
                Ok(number::compare(&one, &two))
            }
            // Dates order as their text does, as long as both are equally exact.
            (Some(Literal::Text(one)), Some(Literal::Text(two))) => Ok(Some(one.cmp(&two))),
            _ => Err(Refused::new("the path compares what has no order")),
        }
    }

    fn same(&self, one: &Item, two: &Item) -> bool {
        match (self.own(one), self.own(two), one, two) {
            (Some(Literal::Number(one)), Some(Literal::Number(two)), ..) => {
                number::same_number(&one, &two)
            }
            (Some(one), Some(two), ..) => one == two,
            (None, None, Item::At(one), Item::At(two)) => {
                let (one, two) = (self.root.at(one), self.root.at(two));
                one.same(two, &|| self.budget.charge(1))
            }
            _ => false,
        }
    }
}

fn or(both: (Option<bool>, Option<bool>)) -> Option<bool> {
    match both {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}
