//! Filters → conditions: values are hashed, chains and `_has` are looked up where their sets are small.
//!
//! A chain becomes the references to the resources it selects; `_has` becomes the rows it is about.
//! Sets too large to list stay conditions that are probed for each candidate ([`Condition::OfPatient`],
//! [`Condition::ReferredBy`]), or are refused by a named limit.

use std::collections::HashSet;

use fhir::{ResourceType, compartment_params};

use super::ask::{Connection, int};
use super::clause::Filter;
use super::condition::{Condition, Keys};
use super::hits;
use super::matching::Matching;
use super::order::Order;
use super::plan::code_param;
use super::scope::Scope;
use super::sql::{Bind, Sql};
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
        let mut conditions = Vec::with_capacity(filters.len());
        for filter in filters {
            if let Filter::Value { params, tests, not: false } = filter
                && let Some(parts) = Condition::parts_of(of, params, tests, self.key)
            {
                conditions.extend(parts);
            } else {
                conditions.push(self.condition(of, filter, connection).await?);
            }
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
            Filter::Chain { params, targets } => self.chain(of, params, targets, connection).await,
            Filter::Has { source, params, filter } => {
                self.has(of, *source, params, filter, connection).await
            }
            plain => self.plain(of, plain),
        }
    }

    /// A filter on the resource itself, which is all that stands behind a chain or `_has`.
    fn plain(&self, of: ResourceType, filter: &Filter) -> Result<Condition, ReadError> {
        match filter {
            Filter::Id(ids) => {
                let hashed = |id: &String| (self.key.resource(of.name(), id), id.clone());
                Ok(Condition::Ids(ids.iter().map(hashed).collect()))
            }
            Filter::LastUpdated(tests) => Ok(Condition::LastUpdated(tests.clone())),
            Filter::Value { params, tests, not } => {
                Ok(Condition::of_tests(params, tests, *not, self.key))
            }
            Filter::Missing { params, missing } => {
                Ok(Condition::Missing { params: params.clone(), missing: *missing })
            }
            Filter::Chain { .. } | Filter::Has { .. } => {
                Err(ReadError::Unsupported("only one level of chaining is supported".into()))
            }
        }
    }

    async fn chain<C: Connection>(
        &self,
        of: ResourceType,
        params: &[u16],
        targets: &[(ResourceType, Filter)],
        connection: &mut C,
    ) -> Result<Condition, ReadError> {
        let mut hashes = Vec::new();
        for (target, filter) in targets {
            self.scope.require(*target)?;
            let condition = self.plain(*target, filter)?;
            let limit = self.limits.chain_targets.saturating_sub(hashes.len());
            let found = self.rids(*target, &condition, limit + 1, connection).await?;
            if found.len() <= limit {
                hashes.extend(self.key_hashes(*target, &found, connection).await?);
            } else if targets.len() == 1 && is_compartment_reference(of, params, *target) {
                let params = params.to_vec();
                return Ok(Condition::OfPatient { params, inner: Box::new(condition) });
            } else {
                return Err(ReadError::TooCostly(format!(
                    "the chain selects more than {} resources of type {target}",
                    self.limits.chain_targets
                )));
            }
        }
        let patients = targets.iter().all(|(target, _)| *target == ResourceType::PATIENT);
        let keys = Keys::Reference { targets: hashes, patients };
        Ok(Condition::Index { params: params.to_vec(), keys, not: false })
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
        let condition = self.plain(source, filter)?;
        let conditions = std::slice::from_ref(&condition);
        let matching = Matching { of: source, conditions, scope: self.scope };
        let plan = matching.plan(true, connection).await?;
        let most = self.limits.has_sources;
        let mut among = None;
        let mut listed = None;
        if is_compartment_reference(source, params, of) {
            among = matching.patients(&plan, most, connection).await?;
        } else {
            let order = Order::of(&[]);
            let places = matching.places(&plan, &order, None, most + 1, connection).await?;
            listed = Some(places).filter(|places| places.len() <= most);
        }
        let Some(found) = listed else {
            let codes = code_param(source).filter(|_| of == ResourceType::PATIENT);
            let codes = codes.and_then(|param| condition.codes_of(param));
            let (params, inner) = (params.to_vec(), Box::new(condition));
            return Ok(Condition::ReferredBy { source, params, codes, among, inner });
        };
        let found: Vec<_> = found.iter().map(|place| place.rid).collect();
        let mut targets = HashSet::new();
        for rows in hits::terms(&found, connection).await? {
            let of_param = rows.references.iter().filter(|row| params.contains(&row.param));
            targets.extend(of_param.map(|row| row.target_hash));
        }
        let targets: Vec<_> = targets.into_iter().collect();
        Ok(Condition::Rids(self.rids_of_hashes(of, targets, connection).await?))
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
        sql.push(" cross join resource r where r.rid = j.value and r.deleted = 0");
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
        sql.push(" cross join resource r where r.khash = j.value and r.deleted = 0");
        sql.push(" and r.type = ").int(of.code()).visible("r", of);
        let rows = connection.ask(sql.finish()).await?;
        Ok(rows.iter().map(|row| int(row, 0)).collect())
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
