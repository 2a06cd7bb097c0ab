//! Filters → conditions: values are hashed, chains and `_has` are looked up where their sets are small.
//!
//! A chain becomes the references to the resources it selects; `_has` becomes the rows it is about, from the
//! innermost hop outwards. Sets too large to list, and all sets where the other conditions leave a few
//! candidates only, stay conditions that are probed for each candidate ([`Condition::Refers`],
//! [`Condition::ReferredBy`]). So either the smaller side drives, or a page of matches is soon found.

use std::collections::HashSet;

use fhir::{ResourceType, compartment_params};

use super::arms::arms;
use super::ask::{Connection, int};
use super::clause::{Filter, ReferenceTest, Tests, TokenTest};
use super::condition::{Condition, Keys};
use super::include;
use super::matching::Matching;
use super::order::Order;
use super::plan::code_param;
use super::presence::{is_presence, presence};
use super::scope::Scope;
use super::sql::{Bind, Sql};
use super::words::WordPlace;
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::index::param::index_params;

/// What filters are resolved with.
pub(super) struct Resolver<'a> {
    pub(super) scope: &'a Scope,
    pub(super) key: &'a IndexKey,
    pub(super) limits: Limits,
}

/// Sizes up to which the sets behind chains and `_has` are listed.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) chain_targets: usize,
    pub(super) has_sources: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chain_targets: CHAIN_TARGETS_MAX, has_sources: HAS_SOURCES_MAX }
    }
}

impl Resolver<'_> {
    /// Conditions that together say what the filters say.
    pub(super) async fn conditions<C: Connection>(
        &self,
        of: ResourceType,
        filters: &[Filter],
        connection: &mut C,
    ) -> Result<Vec<Condition>, ReadError> {
        if is_presence(filters)
            && connection.is_settled()
            && let Some(condition) = presence(of, filters, self.scope, connection).await?
        {
            return Ok(vec![condition]);
        }
        let mut conditions = Vec::with_capacity(filters.len());
        let (hops, plain): (Vec<_>, Vec<_>) = filters.iter().partition(|filter| has_hops(filter));
        for filter in plain {
            if let Filter::Value { params, tests, not: false } = filter
                && let Some(parts) = Condition::parts_of(of, params, tests, self.key)
            {
                conditions.extend(parts);
            } else {
                conditions.push(self.condition(of, filter, connection).await?);
            }
        }
        if hops.is_empty() {
            return Ok(conditions);
        }
        let own = Matching { of, conditions: &conditions, scope: self.scope };
        let limits = match own.is_small(FEW_ROWS, connection).await? {
            true => Limits { chain_targets: 0, has_sources: 0 },
            false => self.limits,
        };
        let resolver = Resolver { limits, ..*self };
        for filter in hops {
            let resolver = if is_wide(filter) { self } else { &resolver };
            conditions.push(resolver.condition(of, filter, connection).await?);
        }
        Ok(conditions)
    }

    async fn condition<C: Connection>(
        &self,
        of: ResourceType,
        filter: &Filter,
        connection: &mut C,
    ) -> Result<Condition, ReadError> {
        match filter {
            Filter::Chain { params, targets } => self.chain(params, targets, connection).await,
            Filter::Has { source, params, filter } => {
                self.has(of, *source, params, filter, connection).await
            }
            Filter::Any(several) => {
                let mut conditions = Vec::with_capacity(several.len());
                for filter in several {
                    conditions.push(Box::pin(self.condition(of, filter, connection)).await?);
                }
                Ok(Condition::Any(conditions))
            }
            Filter::All(several) => {
                let mut conditions = Vec::with_capacity(several.len());
                for filter in several {
                    conditions.push(Box::pin(self.condition(of, filter, connection)).await?);
                }
                Ok(Condition::All(conditions))
            }
            Filter::Not(inner) => {
                let inner = Box::pin(self.condition(of, inner, connection)).await?;
                Ok(Condition::Not(Box::new(inner)))
            }
            Filter::Id(ids) => {
                let hashed = |id: &String| (self.key.resource(of.name(), id), id.clone());
                Ok(Condition::Ids(ids.iter().map(hashed).collect()))
            }
            Filter::LastUpdated(tests) => Ok(Condition::LastUpdated(tests.clone())),
            Filter::Value { params, tests: Tests::Reference(tests), not }
                if tests.iter().any(|test| matches!(test, ReferenceTest::Tree(..))) =>
            {
                let targets = self.with_trees(tests, connection).await?;
                let keys = Keys::Reference { targets, patients: false };
                Ok(Condition::Index { params: params.clone(), keys, not: *not })
            }
            Filter::Value { params, tests, not } => {
                let parts = Condition::parts_of(of, params, tests, self.key);
                match parts.filter(|_| !not && is_of_system(tests)) {
                    Some(parts) => Ok(Condition::All(parts)),
                    None => Ok(Condition::of_tests(params, tests, *not, self.key)),
                }
            }
            Filter::Words { query, place, not } => {
                let query = query.hashed(place, of, self.key);
                let narrative = *place == WordPlace::Narrative;
                Ok(Condition::Words { query, narrative, not: *not })
            }
            Filter::Missing { params, missing } => {
                Ok(Condition::Missing { params: params.clone(), missing: *missing })
            }
        }
    }

    /// Of several types that nobody named, those that the caller may not search select nothing.
    async fn chain<C: Connection>(
        &self,
        params: &[u16],
        targets: &[(ResourceType, Filter)],
        connection: &mut C,
    ) -> Result<Condition, ReadError> {
        let permitted = targets.iter().filter(|(target, _)| self.scope.require(*target).is_ok());
        let permitted: Vec<_> = permitted.collect();
        if permitted.is_empty() && !targets.is_empty() {
            let names: Vec<&str> = targets.iter().map(|(target, _)| target.name()).collect();
            let text = format!("searching {} is not permitted", names.join(", "));
            return Err(ReadError::Forbidden(text));
        }
        let patients = permitted.iter().all(|(target, _)| *target == ResourceType::PATIENT);
        let mut hashes = Some(Vec::new());
        let mut legs = Vec::with_capacity(permitted.len());
        for (target, filter) in permitted {
            let condition = Box::pin(self.condition(*target, filter, connection)).await?;
            if let Some(known) = hashes.take() {
                let limit = self.limits.chain_targets.saturating_sub(known.len());
                let found = self.listed(*target, &condition, limit, connection).await?;
                if let Some(found) = found {
                    let more = self.key_hashes(*target, &found, connection).await?;
                    hashes = Some(known.into_iter().chain(more).collect());
                }
            }
            legs.push((*target, condition));
        }
        if let Some(targets) = hashes {
            let keys = Keys::Reference { targets, patients };
            return Ok(Condition::Index { params: params.to_vec(), keys, not: false });
        }
        if legs.len() > PROBED_TYPES_MAX {
            return Err(ReadError::TooCostly(format!(
                "the chain selects too many resources of more than {PROBED_TYPES_MAX} types; \
                 name the type as in subject:Patient.name"
            )));
        }
        Ok(Condition::Refers { params: params.to_vec(), targets: legs })
    }

    async fn has<C: Connection>(
        &self,
        of: ResourceType,
        source: ResourceType,
        params: &[u16],
        filter: &Filter,
        connection: &mut C,
    ) -> Result<Condition, ReadError> {
        self.scope.require(source)?;
        let condition = Box::pin(self.condition(source, filter, connection)).await?;
        let most = self.limits.has_sources;
        let mut among = None;
        let mut listed = None;
        if is_compartment_reference(source, params, of) {
            if self.can_list(source, &condition, most, connection).await? {
                let conditions = std::slice::from_ref(&condition);
                let matching = Matching { of: source, conditions, scope: self.scope };
                let plan = matching.plan(true, connection).await?;
                among = matching.patients(&plan, most, connection).await?;
            }
        } else {
            listed = self.listed(source, &condition, most, connection).await?;
        }
        let Some(found) = listed else {
            let codes = code_param(source).filter(|_| of == ResourceType::PATIENT);
            let codes = codes.and_then(|param| condition.codes_of(param));
            let (params, inner) = (params.to_vec(), Box::new(condition));
            return Ok(Condition::ReferredBy { source, params, codes, among, inner });
        };
        let mut targets = HashSet::new();
        for (_, rows) in include::terms(&found, connection).await? {
            let of_param = rows.references.iter().filter(|row| params.contains(&row.param));
            targets.extend(of_param.map(|row| row.target_hash));
        }
        let targets: Vec<_> = targets.into_iter().collect();
        Ok(Condition::Rids(self.rids_of_hashes(of, targets, connection).await?))
    }

    /// All visible resources that pass a condition, unless they are more than `most` or no index leads to them.
    async fn listed<C: Connection>(
        &self,
        of: ResourceType,
        condition: &Condition,
        most: usize,
        connection: &mut C,
    ) -> Result<Option<Vec<i64>>, ReadError> {
        if !self.can_list(of, condition, most, connection).await? {
            return Ok(None);
        }
        let found = self.rids(of, condition, most + 1, connection).await?;
        Ok(Some(found).filter(|found| found.len() <= most))
    }

    /// What can only be probed is looked for in small types only: in a large one the few that pass may be far apart.
    async fn can_list<C: Connection>(
        &self,
        of: ResourceType,
        condition: &Condition,
        most: usize,
        connection: &mut C,
    ) -> Result<bool, ReadError> {
        if most == 0 || arms(condition).is_some() || condition.is_among() {
            return Ok(most > 0);
        }
        let all = Matching { of, conditions: &[], scope: self.scope };
        all.is_small(SCANNED_ROWS_MAX, connection).await
    }

    /// Rows of the visible resources that pass one condition.
    async fn rids<C: Connection>(
        &self,
        of: ResourceType,
        condition: &Condition,
        limit: usize,
        connection: &mut C,
    ) -> Result<Vec<i64>, ReadError> {
        let conditions = std::slice::from_ref(condition);
        let matching = Matching { of, conditions, scope: self.scope };
        let plan = matching.plan(true, connection).await?;
        let order = Order::of(&[]);
        let places = matching.places(&plan, &order, None, limit, connection).await?;
        Ok(places.iter().map(|place| place.rid).collect())
    }

    async fn key_hashes<C: Connection>(
        &self,
        of: ResourceType,
        rids: &[i64],
        connection: &mut C,
    ) -> Result<Vec<i64>, ReadError> {
        if rids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select r.khash").each(Bind::Ints(rids.to_vec()));
        sql.beside("resource", "r", "r.rid = j.value");
        sql.push(" where r.rid = j.value and r.deleted = 0");
        sql.visible("r", of);
        let rows = connection.ask(sql.finish()).await?;
        Ok(rows.iter().map(|row| int(row, 0)).collect())
    }

    async fn rids_of_hashes<C: Connection>(
        &self,
        of: ResourceType,
        hashes: Vec<i64>,
        connection: &mut C,
    ) -> Result<Vec<i64>, ReadError> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new(C::DIALECT, self.scope);
        sql.push("select r.rid").each(Bind::Ints(hashes));
        sql.beside("resource", "r", "r.khash = j.value");
        sql.push(" where r.khash = j.value and r.deleted = 0");
        sql.push(" and r.type = ").int(of.code()).visible("r", of);
        let rows = connection.ask(sql.finish()).await?;
        Ok(rows.iter().map(|row| int(row, 0)).collect())
    }
}

/// Whether a composite asks for any code of a system: of the resource itself, that has no row of its own.
fn is_of_system(tests: &Tests) -> bool {
    let Tests::Composite(pairs) = tests else { return false };
    pairs.iter().any(|(first, _)| matches!(first, TokenTest::System(_)))
}

/// Whether the filter looks at other resources.
pub(super) fn has_hops(filter: &Filter) -> bool {
    match filter {
        Filter::Chain { .. } | Filter::Has { .. } => true,
        Filter::Any(several) | Filter::All(several) => several.iter().any(has_hops),
        Filter::Not(inner) => has_hops(inner),
        _ => false,
    }
}

/// Whether a chain looks into more types than can be probed together.
fn is_wide(filter: &Filter) -> bool {
    match filter {
        Filter::Chain { targets, .. } => {
            targets.len() > PROBED_TYPES_MAX || targets.iter().any(|(_, inner)| is_wide(inner))
        }
        Filter::Has { filter, .. } | Filter::Not(filter) => is_wide(filter),
        Filter::Any(several) | Filter::All(several) => several.iter().any(is_wide),
        _ => false,
    }
}

/// Whether a resource that refers by these parameters to a patient is in that patient's compartment.
fn is_compartment_reference(of: ResourceType, params: &[u16], target: ResourceType) -> bool {
    let own = compartment_params(ResourceType::PATIENT, of);
    target == ResourceType::PATIENT
        && own.iter().any(|param| index_params(of, param).iter().any(|own| params == [*own]))
}

/// Resources that a chain may select before the reference is followed.
pub const CHAIN_TARGETS_MAX: usize = 5_000;
/// Referring resources that `_has` looks through to list whom they are about; with more, each candidate
/// is probed.
pub const HAS_SOURCES_MAX: usize = 2_000;
/// Types that a chain may look into when each candidate is probed.
const PROBED_TYPES_MAX: usize = 16;
/// Resources of a type that are scanned for a set that no index leads to.
const SCANNED_ROWS_MAX: usize = 1_000;
/// Candidates that are probed at once, without listing what stands behind chains and `_has`.
const FEW_ROWS: usize = 64;
