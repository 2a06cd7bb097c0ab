//! [`PayloadStore`] in memory, for tests, with faults on demand.
//!
//! Every storage fault comes in two kinds: failed and lost, failed but kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::StoreError;
use crate::object::{ObjectName, PayloadStore};

/// How the next write or removal fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It fails and nothing happened.
    Lost,
    /// It fails although it was done.
    Kept,
}

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<ObjectName, (Bytes, Instant)>,
    faults: VecDeque<Fault>,
}

impl MemoryStore {
    /// Makes the next write or removal fail; several calls queue up.
    pub fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.state().objects.len()
    }

    /// True if there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes a stored object behind the back of its owner.
    pub fn tamper(&self, name: &ObjectName, object: Bytes) {
        self.state().objects.insert(*name, (object, Instant::now()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        let mut state = self.state();
        let fault = state.faults.pop_front();
        if fault != Some(Fault::Lost) {
            change(&mut state);
        }
        fault.map_or(Ok(()), |_| Err(StoreError::Unavailable("fault on demand".into())))
    }
}

impl PayloadStore for MemoryStore {
    fn put<'a>(
        &'a self,
        name: &'a ObjectName,
        object: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.change(|state| drop(state.objects.insert(*name, (object, Instant::now()))))
        })
    }

    fn get<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let found = self.state().objects.get(name).map(|(object, _)| object.clone());
            found.ok_or(StoreError::Missing)
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.change(|state| drop(state.objects.remove(name))) })
    }

    fn older_than(&self, age: Duration) -> BoxFuture<'_, Result<Vec<ObjectName>, StoreError>> {
        Box::pin(async move {
            let state = self.state();
            let old = state.objects.iter().filter(|(_, (_, written))| written.elapsed() >= age);
            Ok(old.map(|(name, _)| *name).collect())
        })
    }
}
