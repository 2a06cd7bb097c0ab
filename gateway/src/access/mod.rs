//! The access record of every read, search, history, write and denial: no record, no data.
//!
//! One compact record a request, sealed under the key of the one patient it concerns (the tenant's when
//! there are none or several), with its ledger entry beside it. That of a write is part of its commit, and the
//! `mover` takes it on; any other is durable in the registry's access journal before the body leaves. When it
//! cannot be, the answer is 503 (security reference 4.3).
//! Not here: AuditEvents made of the records (`audit`), the journal's files (`registry::access`).

pub(crate) mod audit;
mod filter;
pub(crate) mod mover;
mod record;

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir::{ResourceId, ResourceKey, ResourceType, VersionId};
use ledger::{Kind, Salt};
use policy::{AccessRequest, OperationTarget, Principal};
use registry::page::StoredVersion;
use registry::write_set::AccessRecord;
use repository::{DataKey, Sealer};

use crate::app::App;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};
use crate::finish;
use crate::ingest::Touched;
use crate::payload::Payloads;
use crate::telemetry::metrics::Interaction;

pub(crate) use record::{Record, key as record_key};

/// An access on its way to its record.
#[derive(Clone)]
pub struct Access {
    record: Record,
    patients: BTreeSet<ResourceId>,
}

impl Access {
    /// Begins the record of a request.
    pub fn of(principal: &Principal, interaction: Interaction, request_id: &str) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let record = Record {
            interaction: record::code(interaction),
            subject: principal.subject().to_owned(),
            issuer: text(principal.issuer()),
            client: text(principal.client_id()),
            token: text(principal.token_id()),
            role: principal.roles().first().map_or("none", |role| role.name()).to_owned(),
            purpose: text(principal.purpose()),
            request_id: request_id.to_owned(),
            ..Record::default()
        };
        Self { record, patients: BTreeSet::new() }
    }

    /// Names the resource that was asked for.
    #[must_use]
    pub fn on(mut self, key: ResourceKey) -> Self {
        self.record.resources.push(key.to_string());
        self
    }

    /// Names the version of the resource that was asked for.
    #[must_use]
    pub fn version(mut self, version: VersionId) -> Self {
        if let Some(last) = self.record.resources.last_mut() {
            last.push_str(&format!("/_history/{version}"));
        }
        self
    }

    /// Names the type that was asked for.
    #[must_use]
    pub fn of_type(mut self, resource_type: ResourceType) -> Self {
        self.record.resource_type = Some(resource_type.name().to_owned());
        self
    }

    /// Keeps the query, which is as sensitive as what it finds.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        self.record.query = (!query.is_empty()).then(|| query.to_owned());
        self
    }

    /// Notes the patients of a version that leaves. Compartments are known by the keys of its envelope.
    pub fn saw(&mut self, payloads: &Payloads, stored: &StoredVersion) {
        self.record.count += 1;
        if self.patients.len() < PATIENTS_MAX {
            self.patients.extend(payloads.patients(stored));
        }
    }

    /// The same, in a chain.
    #[must_use]
    pub fn seeing(mut self, payloads: &Payloads, stored: &StoredVersion) -> Self {
        self.saw(payloads, stored);
        self
    }

    /// Notes that the request was refused with this status.
    #[must_use]
    pub fn refused(mut self, status: u16) -> Self {
        self.record.status = status;
        self
    }

    /// Notes what a write makes.
    pub(crate) fn touching(mut self, touched: Touched) -> Self {
        self.record.count = touched.versions.len() as u64;
        if !touched.versions.is_empty() {
            self.record.resources.clear();
        }
        let named = touched.versions.iter().take(RESOURCES_MAX);
        self.record
            .resources
            .extend(named.map(|(key, version)| format!("{key}/_history/{version}")));
        self.patients.extend(touched.patients.into_iter().take(PATIENTS_MAX));
        self
    }
}

/// Makes the record durable.
///
/// # Errors
/// 503 when it cannot be; the caller must then not send the data.
pub async fn record(app: &App, access: Access) -> Answered<()> {
    match append(app, access).await {
        Ok(()) => {
            app.metrics.access_records.add(1);
            Ok(())
        }
        Err(fault) => {
            app.metrics.access_refused.add(1);
            Err(fault)
        }
    }
}

/// Records a denial. The caller gets its refusal whether or not the record could be written.
pub(crate) async fn denied(
    app: &App,
    principal: &Principal,
    request: &AccessRequest,
    request_id: &str,
) {
    let mut access = Access::of(principal, Interaction::Other, request_id).refused(403);
    match request {
        AccessRequest::Read(key)
        | AccessRequest::HistoryInstance(key)
        | AccessRequest::Update(key)
        | AccessRequest::Patch(key)
        | AccessRequest::Delete(key)
        | AccessRequest::Operation { target: OperationTarget::Instance(key), .. } => {
            access = access.on(key.clone());
        }
        AccessRequest::Vread(version) | AccessRequest::Receipt(version) => {
            access = access.on(version.key.clone()).version(version.version);
        }
        AccessRequest::Search(resource_type)
        | AccessRequest::Create(resource_type)
        | AccessRequest::HistoryType(resource_type)
        | AccessRequest::Match(resource_type) => access = access.of_type(*resource_type),
        _ => {}
    }
    if let Err(fault) = record(app, access).await {
        tracing::error!(cause = %fault, "a denial was not recorded");
    }
}

async fn append(app: &App, access: Access) -> Answered<()> {
    let AccessRecord { salt_id, entry, body } = seal(app, access, &[]).await?;
    app.journal.append(salt_id, entry, body).await.map_err(|error| {
        tracing::error!(cause = %error, "the access journal does not take records");
        Fault::new(FaultKind::Unavailable, "the access cannot be recorded; retry later")
    })?;
    Ok(())
}

/// The record in its final form, for the commit or the journal. `fresh` are keys that the same commit makes.
///
/// # Errors
/// 503 when no key can be had.
pub(crate) async fn seal(
    app: &App,
    access: Access,
    fresh: &[Arc<DataKey>],
) -> Answered<AccessRecord> {
    let Access { mut record, patients } = access;
    record.patients = patients.into_iter().map(|id| id.as_str().to_owned()).collect();
    record.at_us = clock::now_us();
    let own = match &record.patients[..] {
        [only] => {
            let compartment = format!("Patient/{only}");
            let made = fresh.iter().find(|key| key.compartment() == compartment);
            made.cloned().or_else(|| app.payloads.known_key(&compartment))
        }
        _ => None,
    };
    let key = match own {
        Some(key) => key,
        None => app.payloads.tenant_key().await?,
    };
    sealed(Kind::Access, key, &record.to_bytes())
}

/// A record in its final form: what its entry commits to, under a key.
///
/// # Errors
/// 503 when it cannot be sealed.
pub(crate) fn sealed(kind: Kind, key: Arc<DataKey>, body: &[u8]) -> Answered<AccessRecord> {
    let salt_id = finish::random_id();
    let unsealed = |_| Fault::new(FaultKind::Unavailable, "the access cannot be recorded");
    let sealer = Sealer::prepare(&record::key(&salt_id), &[key]).map_err(unsealed)?;
    let salt = Salt::derive(sealer.salt_key().as_bytes(), kind, &salt_id);
    let entry = finish::entry(kind, &salt, body);
    let body = sealer.seal(VersionId::FIRST, body).map_err(unsealed)?;
    Ok(AccessRecord { salt_id, entry, body })
}

/// Patients that one record names; an access to more is an access to the register as a whole.
const PATIENTS_MAX: usize = 256;
/// Versions that one record names; the count is exact beyond it.
const RESOURCES_MAX: usize = 256;
