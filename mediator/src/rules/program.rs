//! A compiled mapping row and how a segment's rows are applied to a draft.

use super::condition::Condition;
use crate::{
    hl7v2::{
        message::{SegmentView, Slice},
        primitive::Converter,
        work::{Building, Work},
    },
    json::{Json, Object},
};

/// One mapping row.
#[derive(Clone)]
pub(crate) struct Program {
    /// Index of the rule's name; what the account records.
    pub(crate) mark: u16,
    /// 0 is the whole segment.
    pub(crate) field: u16,
    pub(crate) component: u16,
    pub(crate) subcomponent: u16,
    pub(crate) when: Option<Condition>,
    pub(crate) steps: Vec<Step>,
    pub(crate) converter: &'static Converter,
    pub(crate) argument: Box<str>,
}

/// One element on the way to a target.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: Box<str>,
    pub(crate) is_array: bool,
}

/// A row that leaves a field out on purpose, or that a pass handles in code.
#[derive(Clone)]
pub(crate) struct Ignore {
    pub(crate) mark: u16,
    pub(crate) field: u16,
    pub(crate) when: Option<Condition>,
}

/// The rows of one segment.
#[derive(Clone, Default)]
pub(crate) struct SegmentPrograms {
    pub(crate) by_resource: Vec<(Box<str>, Vec<Program>)>,
    pub(crate) ignores: Vec<Ignore>,
}

/// Applies a segment's rows for the draft's type.
pub(crate) fn apply<'m>(work: &mut Work<'m>, segment: SegmentView<'m>, draft: &mut Building<'m>) {
    let rules = work.rules;
    let Some(programs) = rules.programs(segment.name_bytes(), draft.kind) else { return };
    // Rows below an array element (`Patient.contact.name`) fill one new item per segment.
    let mut items: Vec<(&'m str, Object<'m>)> = Vec::new();
    for program in programs {
        if let Some(condition) = &program.when
            && !condition.holds(segment, work.event)
        {
            continue;
        }
        let field = segment.field(program.field);
        if field.is_empty() {
            continue;
        }
        let before = work.message.set_rule(program.mark);
        if field.is_null() {
            field.mark_all();
            if !program.steps.first().is_some_and(|s| s.is_array && program.steps.len() > 1) {
                draft.deletes.push(dotted(&program.steps));
            }
        } else {
            run(work, program, field, &mut draft.body, &mut items);
        }
        work.message.set_rule(before);
    }
    for (name, item) in items {
        draft.body.push(name, Json::Object(item));
    }
}

fn run<'m>(
    work: &mut Work<'m>,
    program: &'m Program,
    field: Slice<'m>,
    body: &mut Object<'m>,
    items: &mut Vec<(&'m str, Object<'m>)>,
) {
    let repeats = program.steps.iter().any(|s| s.is_array);
    for (n, repetition) in field.repetitions().enumerate() {
        if n >= REPETITIONS_MAX {
            work.message.warn("repetitions-past-the-limit", repetition.place());
            break;
        }
        let slice = match (program.component, program.subcomponent) {
            (0, _) => repetition,
            (component, 0) => repetition.component(component),
            (component, sub) => repetition.component(component).sub(sub),
        };
        if slice.is_empty() || slice.is_null() {
            continue;
        }
        let Some(value) = (program.converter.run)(work, slice, &program.argument) else { continue };
        if value.is_empty() {
            continue;
        }
        put(&program.steps, value, body, items);
        if !repeats {
            break;
        }
    }
}

fn put<'m>(
    steps: &'m [Step],
    value: Json<'m>,
    body: &mut Object<'m>,
    items: &mut Vec<(&'m str, Object<'m>)>,
) {
    let Some((last, way)) = steps.split_last() else { return };
    let mut target = body;
    for (n, step) in way.iter().enumerate() {
        if n == 0 && step.is_array {
            let at = items.iter().position(|(name, _)| *name == &*step.name).unwrap_or_else(|| {
                items.push((&step.name, Object::new()));
                items.len() - 1
            });
            target = &mut items[at].1;
        } else {
            target = target.object(&step.name);
        }
    }
    if last.is_array {
        target.push(&last.name, value);
    } else if !target.has(&last.name) {
        target.set(&last.name, value);
    }
}

fn dotted(steps: &[Step]) -> String {
    steps.iter().map(|s| &*s.name).collect::<Vec<_>>().join(".")
}

/// Repetitions of one field that are mapped; the rest is left over.
const REPETITIONS_MAX: usize = 500;
