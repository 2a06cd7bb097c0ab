//! Is there an order in which the requests, one after the other, answer as they did?
//!
//! A search, not a proof by rule: at each point any client's next request may be the next, unless another one had been
//! answered before it was sent. It may be when the model, in the state so far, gives the very answer that was heard.
//! Versions fix the order of writes to one resource, so the state follows from which requests are placed, and no set
//! of placed requests is looked at twice.

use std::collections::HashSet;
use std::fmt::Write;

use super::model::{Answer, Operation, State};

/// One request and what was heard of it.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) operations: Vec<Operation>,
    pub(super) answer: Answer,
    /// When it was sent and when it was answered, on one clock.
    pub(super) sent: u64,
    pub(super) answered: u64,
}

/// The requests of each client, in its order. Gives the length of the longest beginning that could be put in order, all
/// of them when the history is serializable in real time, and what stood in the way of a longer one.
pub(super) fn placed(clients: &[Vec<Event>]) -> (usize, String) {
    let mut search = Search { clients, seen: HashSet::new(), longest: 0, stuck: Vec::new() };
    search.go(&mut vec![0; clients.len()], &State::default());
    (search.longest, search.told())
}

struct Search<'h> {
    clients: &'h [Vec<Event>],
    seen: HashSet<Vec<usize>>,
    longest: usize,
    /// Where the longest beginnings end.
    stuck: Vec<(Vec<usize>, State)>,
}

impl Search<'_> {
    /// True once everything is placed.
    fn go(&mut self, next: &mut Vec<usize>, state: &State) -> bool {
        let count: usize = next.iter().sum();
        if count > self.longest {
            self.longest = count;
            self.stuck.clear();
        }
        if count == self.clients.iter().map(Vec::len).sum::<usize>() {
            return true;
        }
        if !self.seen.insert(next.clone()) {
            return false;
        }
        if count == self.longest {
            self.stuck.push((next.clone(), state.clone()));
        }
        for client in 0..self.clients.len() {
            let Some(event) = self.clients[client].get(next[client]) else { continue };
            if self.is_late(event, next) {
                continue;
            }
            if let Some(after) = state.after(&event.operations, &event.answer) {
                next[client] += 1;
                if self.go(next, &after) {
                    return true;
                }
                next[client] -= 1;
            }
        }
        false
    }

    /// What each client did next at the end of each of the longest beginnings, and what it should have heard.
    fn told(&self) -> String {
        let mut told = String::new();
        for (next, state) in &self.stuck {
            let _ = writeln!(told, "in the state {state:?}");
            for (client, at) in next.iter().enumerate() {
                let Some(event) = self.clients[client].get(*at) else { continue };
                let late = if self.is_late(event, next) {
                    ", sent after another was answered"
                } else {
                    ""
                };
                let Event { operations, answer, sent, answered } = event;
                let _ = writeln!(
                    told,
                    "  client {client} [{sent}, {answered}]{late}: {operations:?}\n    heard {answer:?}\n    not {:?}",
                    state.answer(operations, answer)
                );
            }
        }
        told
    }

    /// Another request was answered before this one was sent, and is not placed yet.
    fn is_late(&self, event: &Event, next: &[usize]) -> bool {
        let open = self.clients.iter().zip(next).filter_map(|(events, at)| events.get(*at));
        open.into_iter().any(|other| other.answered < event.sent)
    }
}
