//! Plaintext data keys in memory, bounded in number and in time.
//!
//! Two generations: a key enters the young one; when that is full or [`CACHE_GENERATION_SECONDS`]
//! old it becomes the old one, whose keys are dropped and so wiped. Nothing is promoted, so no key
//! stays longer than two generations, however often it is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::data_key::DataKey;
use crate::limit::{CACHE_GENERATION_SECONDS, CACHED_KEYS_MAX};

#[derive(Default)]
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    turned: Option<Instant>,
}

#[derive(Default)]
struct Generation {
    by_id: HashMap<u64, Arc<DataKey>>,
    ids: HashMap<Box<str>, u64>,
}

impl Cache {
    pub(super) fn insert(&mut self, key: &Arc<DataKey>, now: Instant) {
        self.expire(now);
        if self.young.by_id.len() >= CACHED_KEYS_MAX / 2 {
            self.turn(now);
        }
        self.young.by_id.insert(key.id(), Arc::clone(key));
        self.young.ids.insert(key.compartment().into(), key.id());
    }

    pub(super) fn by_id(&mut self, key_id: u64, now: Instant) -> Option<Arc<DataKey>> {
        self.expire(now);
        let found = self.young.by_id.get(&key_id).or_else(|| self.old.by_id.get(&key_id));
        found.cloned()
    }

    pub(super) fn by_compartment(&mut self, name: &str, now: Instant) -> Option<Arc<DataKey>> {
        self.expire(now);
        let found = |generation: &Generation| {
            generation.ids.get(name).and_then(|key_id| generation.by_id.get(key_id)).cloned()
        };
        found(&self.young).or_else(|| found(&self.old))
    }

    pub(super) fn forget(&mut self, key_id: u64) {
        for generation in [&mut self.young, &mut self.old] {
            generation.by_id.remove(&key_id);
            generation.ids.retain(|_, id| *id != key_id);
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let generation = Duration::from_secs(CACHE_GENERATION_SECONDS);
        let turned = *self.turned.get_or_insert(now);
        let age = now.saturating_duration_since(turned);
        if age >= generation {
            self.turn(now);
        }
        if age >= 2 * generation {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.turned = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u64) -> Arc<DataKey> {
        Arc::new(DataKey::derive(id, &format!("Patient/{id}"), &[7; 32]))
    }

    #[test]
    fn no_key_stays_longer_than_two_generations() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut cache = Cache::default();
        cache.insert(&key(1), start);

        for seconds in (0..2 * CACHE_GENERATION_SECONDS).step_by(10) {
            assert!(cache.by_id(1, at(seconds)).is_some(), "after {seconds} s");
        }
        assert!(cache.by_id(1, at(2 * CACHE_GENERATION_SECONDS)).is_none());
        assert!(cache.by_compartment("Patient/1", at(2 * CACHE_GENERATION_SECONDS)).is_none());
    }

    #[test]
    fn an_idle_cache_is_emptied_at_the_first_look() {
        let start = Instant::now();
        let mut cache = Cache::default();
        cache.insert(&key(1), start);

        cache.expire(start + Duration::from_secs(10 * CACHE_GENERATION_SECONDS));

        assert!(cache.young.by_id.is_empty() && cache.old.by_id.is_empty());
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let now = Instant::now();
        let mut cache = Cache::default();

        for id in 0..3 * CACHED_KEYS_MAX as u64 {
            cache.insert(&key(id), now);
            assert!(cache.young.by_id.len() + cache.old.by_id.len() <= CACHED_KEYS_MAX);
            assert!(cache.by_id(id, now).is_some());
        }
    }

    #[test]
    fn a_forgotten_key_is_gone_by_id_and_by_compartment() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.insert(&key(1), now);
        assert!(cache.by_compartment("Patient/1", now).is_some());

        cache.forget(1);

        assert!(cache.by_id(1, now).is_none());
        assert!(cache.by_compartment("Patient/1", now).is_none());
    }
}
