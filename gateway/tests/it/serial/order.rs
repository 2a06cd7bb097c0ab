//! Is there an order in which the requests, one after the other, answer as they did?
//!
//! A search, not a proof by rule: at each point any client's next request may be the next, unless another one had been
//! answered before it was sent. It may be when the model, in the state so far, gives the very answer that was heard.
//! Versions fix the order of writes to one resource, so the state follows from which requests are placed, and no set
//! of placed requests is looked at twice.

use std::collections::HashSet;

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

/// The requests of each client, in its order. Gives the longest beginning that could be put in order: all of them
/// when the history is serializable in real time.
pub(super) fn placed(clients: &[Vec<Event>]) -> usize {
    let mut search = Search { clients, seen: HashSet::new(), longest: 0 };
    search.go(&mut vec![0; clients.len()], &State::default());
    search.longest
}

struct Search<'h> {
    clients: &'h [Vec<Event>],
    seen: HashSet<Vec<usize>>,
    longest: usize,
}

impl Search<'_> {
    /// True once everything is placed.
    fn go(&mut self, next: &mut Vec<usize>, state: &State) -> bool {
        let count: usize = next.iter().sum();
        self.longest = self.longest.max(count);
        if count == self.clients.iter().map(Vec::len).sum::<usize>() {
            return true;
        }
        if !self.seen.insert(next.clone()) {
            return false;
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

    /// Another request was answered before this one was sent, and is not placed yet.
    fn is_late(&self, event: &Event, next: &[usize]) -> bool {
        let open = self.clients.iter().zip(next).filter_map(|(events, at)| events.get(*at));
        open.into_iter().any(|other| other.answered < event.sent)
    }
}
