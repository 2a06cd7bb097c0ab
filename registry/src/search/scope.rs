//! What the caller may see, as rows: the permit's [`Visibility`] with patients resolved to `rid`s.

use fhir::ResourceType;
use policy::{Permit, TypeSet, Visibility, universal_types};

use super::ask::{Connection, int};
use super::sql::{Bind, Dialect, Statement};
use crate::error::ReadError;
use crate::hash::IndexKey;

/// A permit's visibility and types, ready to be rendered.
pub(super) struct Scope {
    patients: Option<Vec<i64>>,
    types: TypeSet,
    included: TypeSet,
}

impl Scope {
    /// Looks up the rows of the visible patients; those that are unknown see nothing.
    pub(super) async fn resolve<C: Connection>(
        permit: &Permit,
        key: &IndexKey,
        connection: &mut C,
    ) -> Result<Self, ReadError> {
        let (types, included) = (*permit.types(), *permit.included_types());
        let Visibility::Compartments(ids) = permit.visibility() else {
            return Ok(Self { patients: None, types, included });
        };
        let mut patients = Vec::with_capacity(ids.len());
        for id in ids {
            let name = ResourceType::PATIENT.name();
            let khash = key.resource(name, id.as_str());
            let rows = connection.ask(patient_statement(C::DIALECT, khash, id.as_str())).await?;
            patients.extend(rows.iter().map(|row| int(row, 0)));
        }
        Ok(Self { patients: Some(patients), types, included })
    }

    /// For statements about rows whose visibility is settled.
    pub(super) fn everything() -> Self {
        Self { patients: None, types: TypeSet::all(), included: TypeSet::all() }
    }

    /// The visible patients; `None` for everything.
    pub(super) fn patients(&self) -> Option<&[i64]> {
        self.patients.as_deref()
    }

    /// Refuses a leg of a type that the permit does not name.
    pub(super) fn require(&self, of: ResourceType) -> Result<(), ReadError> {
        if self.types.contains(of) {
            return Ok(());
        }
        Err(ReadError::Forbidden(format!("searching {of} is not permitted")))
    }

    /// Whether includes may bring the type along.
    pub(super) fn may_include(&self, of: ResourceType) -> bool {
        self.included.contains(of)
    }

    /// Codes of the types that includes may bring along, unless all are.
    pub(super) fn included_types(&self) -> Option<Vec<i64>> {
        let all = self.included == TypeSet::all();
        (!all).then(|| self.included.iter().map(|of| i64::from(of.code())).collect())
    }

    pub(super) fn is_universal(of: ResourceType) -> bool {
        universal_types().contains(of)
    }

    pub(super) fn universal_codes() -> Vec<i64> {
        universal_types().iter().map(|of| i64::from(of.code())).collect()
    }
}

/// The caller's own patients: the root of visibility, so nothing limits it.
fn patient_statement(dialect: Dialect, khash: i64, id: &str) -> Statement {
    let text = match dialect {
        Dialect::Sqlite => {
            "select r.rid from resource r where r.khash = ? and r.type = ? and r.id = ?"
        }
        Dialect::Postgres => {
            "select r.rid from resource r where r.khash = $1 and r.type = $2 and r.id = $3"
        }
    };
    let of = i64::from(ResourceType::PATIENT.code());
    let binds = vec![Bind::Int(khash), Bind::Int(of), Bind::Text(id.to_owned())];
    Statement { text: text.to_owned(), binds }
}
