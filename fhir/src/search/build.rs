//! Search expressions into programs, with the types of the element table.
//!
//! A choice element becomes one branch per type that the parameter's kind can read; types that it
//! cannot read are left out, as `value` of a quantity parameter leaves out `valueString`.

use crate::ResourceType;

use super::elements::{Element, element};
use super::expression::{Branch, Path, Root, Step, parse};
use super::extract::Reader;
use super::param::{Component, ParamId, ParamKind, SearchParam};
use super::program::{CompositeEmit, Condition, Emit, Part, Place, PredicateEmit, Program};

/// Why an expression cannot be compiled: the part that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("search expression not understood: {0}")]
pub(crate) struct CompileError(String);

/// The programs of these parameters of one type, in one.
pub(crate) fn compile<'p>(
    of: ResourceType,
    params: impl IntoIterator<Item = &'p SearchParam>,
) -> Result<Program, CompileError> {
    let mut builder = Builder { program: Program::default(), of: of.name() };
    let resource = builder.new_place();
    for param in params {
        builder.add_param(resource, param)?;
    }
    Ok(builder.program)
}

struct Builder {
    program: Program,
    of: &'static str,
}

/// Where a path has got to: a place, and what is known of the element there.
#[derive(Clone)]
struct At {
    place: usize,
    /// Path or type under which the element's members are found in the element table.
    members_of: String,
    data_type: String,
    system: &'static str,
}

/// What the end of a path is for.
#[derive(Clone, Copy)]
enum End<'p> {
    Value(ParamId, ParamKind, &'p [ResourceType]),
    Composite(ParamId, &'p [Component]),
}

impl Builder {
    fn new_place(&mut self) -> usize {
        self.program.places.push(Place::default());
        self.program.places.len() - 1
    }

    fn add_param(&mut self, resource: usize, param: &SearchParam) -> Result<(), CompileError> {
        let branches = parse(param.expression).map_err(|e| CompileError(e.0.to_owned()))?;
        for branch in branches {
            match branch {
                Branch::Path(path) if param.components.is_empty() => {
                    let at = self.root(resource, &path);
                    let end = End::Value(param.id, param.kind, param.targets);
                    self.path(at, &path.steps, end)?;
                }
                Branch::Path(path) => {
                    let at = self.root(resource, &path);
                    self.path(at, &path.steps, End::Composite(param.id, param.components))?;
                }
                Branch::ExistsAndIsNot { path, literal } => {
                    let predicate = self.predicate(param.id, &path, literal)?;
                    self.program.places[resource].predicates.push(predicate);
                }
            }
        }
        Ok(())
    }

    /// Paths of `Resource` and `DomainResource` start at the type that is compiled.
    fn root(&self, place: usize, path: &Path<'_>) -> At {
        let name = match path.root {
            Root::Type(name) => name,
            Root::Resource | Root::Here => self.of,
        };
        At { place, members_of: name.to_owned(), data_type: name.to_owned(), system: "" }
    }

    fn path(&mut self, at: At, steps: &[Step<'_>], end: End<'_>) -> Result<(), CompileError> {
        let Some((step, rest)) = steps.split_first() else { return self.finish(at, end) };
        match *step {
            Step::Field(name) => self.field(&at, name, rest, end),
            Step::As(wanted) if at.data_type.eq_ignore_ascii_case(wanted) => {
                self.path(at, rest, end)
            }
            Step::As(wanted) => Err(CompileError(format!("{} as {wanted}", at.data_type))),
            Step::Extension(url) => {
                let list = self.edge(at.place, "extension");
                let is_it = Condition::MemberIs { member: "url".into(), text: url.into() };
                let place = self.filter(list, is_it);
                let name = "Extension".to_owned();
                let at = At { place, members_of: name.clone(), data_type: name, system: "" };
                self.path(at, rest, end)
            }
            Step::Index(index) => self.filtered(at, Condition::Index(index), rest, end),
            Step::WhereField { field, is } => {
                let condition = Condition::MemberIs { member: field.into(), text: is.into() };
                self.filtered(at, condition, rest, end)
            }
            Step::WhereResolvesTo(name) => {
                self.filtered(at, Condition::ResolvesTo(name.into()), rest, end)
            }
            Step::WhereHasExtension(url) => {
                self.filtered(at, Condition::HasExtension(url.into()), rest, end)
            }
        }
    }

    fn filtered(
        &mut self,
        at: At,
        condition: Condition,
        rest: &[Step<'_>],
        end: End<'_>,
    ) -> Result<(), CompileError> {
        let place = self.filter(at.place, condition);
        self.path(At { place, ..at }, rest, end)
    }

    fn field(
        &mut self,
        at: &At,
        name: &str,
        rest: &[Step<'_>],
        end: End<'_>,
    ) -> Result<(), CompileError> {
        let path = format!("{}.{name}", at.members_of);
        let found = element(&path).ok_or_else(|| CompileError(path.clone()))?;
        if !found.choice {
            let place = self.edge(at.place, name);
            return self.path(at_element(place, &path, found.types, found), rest, end);
        }
        let (wanted, rest) = match rest.split_first() {
            Some((Step::As(wanted), rest)) => (Some(*wanted), rest),
            _ => (None, rest),
        };
        let is_wanted = |t: &&str| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(t));
        let types: Vec<&str> = found.types.split(',').filter(is_wanted).collect();
        if types.is_empty() {
            return Err(CompileError(path));
        }
        let (mut read, mut unread) = (false, None);
        for data_type in types {
            let place = self.edge(at.place, &choice_member(name, data_type));
            if rest.is_empty() && !can_end(data_type, end) {
                // It says nothing comparable and is there all the same.
                if let End::Value(param, ParamKind::Date | ParamKind::Quantity, _) = end {
                    let reader = Reader::Presence;
                    self.program.places[place].emits.push(Emit { param, reader });
                }
                continue;
            }
            // Of several types, those without what follows select nothing.
            match self.path(at_element(place, &path, data_type, found), rest, end) {
                Ok(()) => read = true,
                Err(error) if wanted.is_none() => unread = unread.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        unread.filter(|_| !read).map_or(Ok(()), Err)
    }

    fn finish(&mut self, at: At, end: End<'_>) -> Result<(), CompileError> {
        match end {
            End::Value(param, kind, targets) => {
                let reader = Reader::of(kind, &at.data_type, at.system);
                let unread = || CompileError(format!("{} as {}", at.data_type, kind.code()));
                let reader = reader.ok_or_else(unread)?;
                for place in self.ends(&at, targets, reader) {
                    self.program.places[place].emits.push(Emit { param, reader });
                }
            }
            End::Composite(param, components) => {
                let parts: Result<Vec<Part>, CompileError> =
                    components.iter().map(|part| self.part(&at, param, part)).collect();
                let composite = CompositeEmit { param, parts: parts? };
                self.program.places[at.place].composites.push(composite);
            }
        }
        Ok(())
    }

    /// Where the values are: at hand, but a resource in place of a reference only if its type is
    /// one of the parameter's targets.
    fn ends(&mut self, at: &At, targets: &[ResourceType], reader: Reader) -> Vec<usize> {
        if reader != Reader::ReferenceInline {
            return vec![at.place];
        }
        let is_of = |target: &ResourceType| Condition::MemberIs {
            member: "resourceType".into(),
            text: target.name().into(),
        };
        targets.iter().map(|target| self.filter(at.place, is_of(target))).collect()
    }

    fn part(&mut self, at: &At, param: ParamId, part: &Component) -> Result<Part, CompileError> {
        let start = self.new_place();
        let mut from_resource = false;
        for branch in parse(part.expression).map_err(|e| CompileError(e.0.to_owned()))? {
            let Branch::Path(path) = branch else {
                return Err(CompileError(part.expression.to_owned()));
            };
            from_resource = path.root == Root::Resource;
            let here = match path.root {
                Root::Here => At { place: start, ..at.clone() },
                _ => self.root(start, &path),
            };
            self.path(here, &path.steps, End::Value(param, part.kind, &[]))?;
        }
        Ok(Part { start, from_resource })
    }

    fn predicate(
        &self,
        param: ParamId,
        path: &Path<'_>,
        literal: &str,
    ) -> Result<PredicateEmit, CompileError> {
        let unread = || CompileError(format!("{path:?} != {literal}"));
        let [Step::Field(name)] = path.steps.as_slice() else { return Err(unread()) };
        let literal = literal.parse().map_err(|_| unread())?;
        let found = element(&format!("{}.{name}", self.of)).ok_or_else(unread)?;
        let members = match found.choice {
            true => found.types.split(',').map(|t| choice_member(name, t).into()).collect(),
            false => vec![(*name).into()],
        };
        Ok(PredicateEmit { param, members, literal })
    }

    fn edge(&mut self, from: usize, name: &str) -> usize {
        if let Some(to) = self.program.places[from].edge(name) {
            return to;
        }
        let to = self.new_place();
        self.program.places[from].add_edge(name, to);
        to
    }

    fn filter(&mut self, from: usize, condition: Condition) -> usize {
        let filters = &self.program.places[from].filters;
        if let Some((_, to)) = filters.iter().find(|(each, _)| *each == condition) {
            return *to;
        }
        let to = self.new_place();
        self.program.places[from].filters.push((condition, to));
        to
    }
}

fn at_element(place: usize, path: &str, data_type: &str, found: Element) -> At {
    let members_of = match data_type {
        "BackboneElement" | "Element" => path,
        other => other.strip_prefix('@').unwrap_or(other),
    };
    At {
        place,
        members_of: members_of.to_owned(),
        data_type: data_type.to_owned(),
        system: found.system,
    }
}

fn can_end(data_type: &str, end: End<'_>) -> bool {
    match end {
        End::Value(_, kind, _) => Reader::of(kind, data_type, "").is_some(),
        End::Composite(..) => true,
    }
}

/// JSON name of a choice element with this type: `value` and `dateTime` are `valueDateTime`.
fn choice_member(name: &str, data_type: &str) -> String {
    let mut member = name.to_owned();
    let mut letters = data_type.chars();
    member.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    member.push_str(letters.as_str());
    member
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::param::{Held, search_params};

    #[test]
    fn every_expression_of_the_table_compiles() {
        let mut refused = Vec::new();
        for of in ResourceType::all() {
            for param in search_params(of)
                .iter()
                .filter(|param| !matches!(param.held, Held::InText | Held::Nowhere))
            {
                match compile(of, [*param]) {
                    Ok(program) if program.yields() => {}
                    Ok(_) => refused.push(format!("{of} {}: yields nothing", param.code)),
                    Err(error) => refused.push(format!("{of} {}: {error}", param.code)),
                }
            }
        }
        assert!(refused.is_empty(), "{refused:#?}");
    }
}
