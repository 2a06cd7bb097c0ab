//! What requests do, one after the other: a naive model of a handful of interactions, written from the standard.
//!
//! Slow and plain on purpose. Resources are `Basic` with one identifier, one colour as code, and perhaps a subject.

use std::collections::{BTreeMap, BTreeSet};

/// What a resource holds.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Content {
    pub(super) identifier: u8,
    pub(super) colour: u8,
    /// `Basic/id`, as stored.
    pub(super) subject: Option<String>,
}

/// What an entry asks for.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Read(String),
    Search {
        colour: u8,
    },
    /// POST with `ifNoneExist` on the identifier `unless`.
    CreateUnless {
        unless: u8,
        new: Draft,
    },
    /// PUT to an id, perhaps with `ifMatch`.
    Put {
        id: String,
        new: Draft,
        if_match: Option<u64>,
    },
    /// PUT to the identifier of its content.
    PutWhere {
        new: Draft,
    },
    Delete(String),
    DeleteWhere {
        identifier: u8,
    },
}

/// Content as it is sent: the subject is conditional.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) identifier: u8,
    pub(super) colour: u8,
    /// `Basic?identifier=…`
    pub(super) subject: Option<u8>,
}

/// What was answered to an entry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Said {
    pub(super) status: u16,
    /// Id and version that a write names, or a read found.
    pub(super) version: Option<(String, u64)>,
    /// What a read found, or a write stored.
    pub(super) content: Option<Content>,
    /// Ids and versions that a search found.
    pub(super) found: Option<BTreeSet<(String, u64)>>,
}

/// What was answered to a request: for each entry, or the status of its refusal.
pub(super) type Answer = Result<Vec<Said>, u16>;

/// Versions of everything that ever was; the content is `None` for a tombstone.
#[derive(Clone, Debug, Default)]
pub(super) struct State(BTreeMap<String, (u64, Option<Content>)>);

/// A request that is being applied.
struct Running<'s> {
    state: State,
    before: &'s State,
    /// Which entry writes a resource.
    written: BTreeMap<String, usize>,
    /// Entries that were answered with what was there before.
    found: BTreeSet<usize>,
    said: Vec<Said>,
}

impl State {
    /// The state after a request, if it answers just so in this one; what the model cannot know, the ids of new
    /// resources, is taken from the answer.
    pub(super) fn after(&self, operations: &[Operation], answer: &Answer) -> Option<State> {
        match (self.apply(operations, answer), answer) {
            (Ok((state, said)), Ok(heard)) => (said == *heard).then_some(state),
            (Err(status), Err(heard)) => (status == *heard).then(|| self.clone()),
            _ => None,
        }
    }

    /// What a request should hear in this state.
    pub(super) fn answer(&self, operations: &[Operation], heard: &Answer) -> Answer {
        self.apply(operations, heard).map(|(_, said)| said)
    }

    fn apply(&self, operations: &[Operation], answer: &Answer) -> Result<(State, Vec<Said>), u16> {
        let mut running = Running {
            state: self.clone(),
            before: self,
            written: BTreeMap::new(),
            found: BTreeSet::new(),
            said: vec![Said::default(); operations.len()],
        };
        let new_id = |at: usize| match answer {
            Ok(said) => said[at].version.as_ref().map_or_else(String::new, |(id, _)| id.clone()),
            Err(_) => format!("new-{at}"),
        };
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|at| step(&operations[*at]));
        for at in &order {
            running.write(*at, &operations[*at], new_id(*at))?;
        }
        for at in &order {
            running.refer(*at, &operations[*at])?;
        }
        running.settle();
        for at in order {
            running.read(at, &operations[at])?;
        }
        Ok((running.state, running.said))
    }

    /// Ids of what is there and has this identifier.
    fn identified(&self, identifier: u8) -> Vec<String> {
        let has = |content: &Option<Content>| {
            content.as_ref().is_some_and(|content| content.identifier == identifier)
        };
        self.0.iter().filter(|(_, (_, content))| has(content)).map(|(id, _)| id.clone()).collect()
    }
}

/// DELETE, POST, PUT, GET; within PUT those by criteria last, as the order of entries must not matter.
fn step(operation: &Operation) -> u8 {
    match operation {
        Operation::Delete(_) | Operation::DeleteWhere { .. } => 0,
        Operation::CreateUnless { .. } => 1,
        Operation::Put { .. } => 2,
        Operation::PutWhere { .. } => 3,
        Operation::Read(_) | Operation::Search { .. } => 4,
    }
}

impl Running<'_> {
    fn write(&mut self, at: usize, operation: &Operation, new_id: String) -> Result<(), u16> {
        match operation {
            Operation::Read(_) | Operation::Search { .. } => Ok(()),
            Operation::Delete(id) => self.delete(at, id),
            // By the state before: two deletions of one resource overlap, however they are written.
            Operation::DeleteWhere { identifier } => match &self.before.identified(*identifier)[..]
            {
                [] => self.say(at, 204, None),
                [id] => self.delete(at, &id.clone()),
                _ => Err(412),
            },
            Operation::CreateUnless { unless, new } => match &self.state.identified(*unless)[..] {
                [] => {
                    if self.state.0.contains_key(&new_id) {
                        return Err(0);
                    }
                    self.put(at, &new_id, new, 201)
                }
                [id] => {
                    let (version, content) = self.state.0[id].clone();
                    self.say(at, 200, Some((id.clone(), version)))?;
                    if !self.written.contains_key(id) {
                        self.found.insert(at);
                        self.said[at].content = content;
                    }
                    Ok(())
                }
                _ => Err(412),
            },
            Operation::Put { id, new, if_match } => self.update(at, id, new, *if_match),
            Operation::PutWhere { new } => match &self.identified(new.identifier)[..] {
                [] => {
                    if self.state.0.contains_key(&new_id) {
                        return Err(0);
                    }
                    self.put(at, &new_id, new, 201)
                }
                [id] => self.update(at, &id.clone(), new, None),
                _ => Err(412),
            },
        }
    }

    /// Ids with an identifier before the updates, or because of one.
    fn identified(&self, identifier: u8) -> Vec<String> {
        let is_left = |id: &String| self.state.0[id].1.is_some();
        let mut ids = self.before.identified(identifier);
        ids.retain(is_left);
        ids.extend(self.state.identified(identifier));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn update(
        &mut self,
        at: usize,
        id: &str,
        new: &Draft,
        if_match: Option<u64>,
    ) -> Result<(), u16> {
        let current = self.before.0.get(id);
        if if_match.is_some() && current.map(|(version, _)| *version) != if_match {
            return Err(412);
        }
        let status = if current.is_some_and(|(_, content)| content.is_some()) { 200 } else { 201 };
        self.put(at, id, new, status)
    }

    fn delete(&mut self, at: usize, id: &str) -> Result<(), u16> {
        self.note(at, id)?;
        match self.before.0.get(id) {
            Some((version, Some(_))) => {
                let version = version + 1;
                self.state.0.insert(id.to_owned(), (version, None));
                self.say(at, 204, Some((id.to_owned(), version)))
            }
            _ => self.say(at, 204, None),
        }
    }

    fn put(&mut self, at: usize, id: &str, new: &Draft, status: u16) -> Result<(), u16> {
        self.note(at, id)?;
        let version = self.before.0.get(id).map_or(0, |(version, _)| *version) + 1;
        let content = Content { identifier: new.identifier, colour: new.colour, subject: None };
        self.state.0.insert(id.to_owned(), (version, Some(content)));
        self.say(at, status, Some((id.to_owned(), version)))
    }

    /// A resource may be named once by what writes, also where there is nothing to delete.
    fn note(&mut self, at: usize, id: &str) -> Result<(), u16> {
        if self.written.insert(id.to_owned(), at).is_some() { Err(400) } else { Ok(()) }
    }

    fn say(&mut self, at: usize, status: u16, version: Option<(String, u64)>) -> Result<(), u16> {
        self.said[at] = Said { status, version, ..Said::default() };
        Ok(())
    }

    /// Conditional references are resolved once everything is written.
    fn refer(&mut self, at: usize, operation: &Operation) -> Result<(), u16> {
        let (Operation::CreateUnless { new, .. }
        | Operation::Put { new, .. }
        | Operation::PutWhere { new }) = operation
        else {
            return Ok(());
        };
        let Some(wanted) = new.subject else { return Ok(()) };
        let [target] = &self.state.identified(wanted)[..] else { return Err(412) };
        let target = format!("Basic/{target}");
        let own = self.written.iter().find(|(_, writer)| **writer == at).map(|(id, _)| id.clone());
        if let Some((_, Some(content))) = own.and_then(|id| self.state.0.get_mut(&id)) {
            content.subject = Some(target);
        }
        Ok(())
    }

    /// An update that changes nothing makes no version.
    fn settle(&mut self) {
        for (id, at) in &self.written {
            let (Some(before), Some(after)) = (self.before.0.get(id), self.state.0.get(id)) else {
                continue;
            };
            if after.1.is_some() && before.1 == after.1 {
                self.said[*at].version = Some((id.clone(), before.0));
                self.state.0.insert(id.clone(), before.clone());
            }
        }
        for (at, said) in self.said.iter_mut().enumerate() {
            if let Some((id, _)) = said.version.as_ref().filter(|_| !self.found.contains(&at)) {
                said.content = self.state.0[id].1.clone();
            }
        }
    }

    fn read(&mut self, at: usize, operation: &Operation) -> Result<(), u16> {
        match operation {
            Operation::Read(id) => match self.state.0.get(id) {
                None => Err(404),
                Some((_, None)) => Err(410),
                Some((version, content)) => {
                    let (version, content) = (Some((id.clone(), *version)), content.clone());
                    self.said[at] = Said { status: 200, version, content, found: None };
                    Ok(())
                }
            },
            Operation::Search { colour } => {
                let of_colour = self.state.0.iter().filter(|(_, (_, content))| {
                    content.as_ref().is_some_and(|content| content.colour == *colour)
                });
                let found = of_colour.map(|(id, (version, _))| (id.clone(), *version)).collect();
                self.said[at] = Said { status: 200, found: Some(found), ..Said::default() };
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
