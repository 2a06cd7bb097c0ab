//! Who makes a call, and whether they may: the caller, the permit, and what a denial tells.
//!
//! A denial of what was asked is recorded as an access of its own.
//! Not here: tokens (`auth`), the decision (`policy`), permits of the entries of a transaction (`plan`).

use std::sync::Arc;

use actix_web::http::header;
use policy::{AccessRequest, Deny, Permit, Principal, Reason, Role, roles_for};

use super::Call;
use crate::access;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};

impl Call {
    /// The authenticated caller.
    ///
    /// # Errors
    /// 401; 400 for more than one `Authorization` (RFC 9110 section 5.3: only lists are sent as several fields).
    pub async fn principal(&self) -> Answered<Arc<Principal>> {
        let mut given = self.http.headers().get_all(header::AUTHORIZATION);
        let bearer = given.next().and_then(|value| value.to_str().ok());
        if given.next().is_some() {
            let text = "a request has one Authorization header: whose request is this?";
            return Err(Fault::new(FaultKind::Invalid, text));
        }
        Ok(self.app.auth.authenticate(bearer, clock::now()).await?)
    }

    /// Leave for what is asked.
    ///
    /// # Errors
    /// 401, 403, 404, 405 or 503.
    pub async fn permit(&self, request: &AccessRequest) -> Answered<(Arc<Principal>, Permit)> {
        let principal = self.principal().await?;
        let permit = self.permit_of(&principal, request).await?;
        Ok((principal, permit))
    }

    /// The same for a caller who is known; a denial is recorded.
    ///
    /// # Errors
    /// 403, 404, 405 or 503.
    pub async fn permit_of(
        &self,
        principal: &Principal,
        request: &AccessRequest,
    ) -> Answered<Permit> {
        match policy::decide(principal, request) {
            Ok(permit) => Ok(permit),
            Err(deny) => {
                access::denied(&self.app, principal, request, &self.request_id).await;
                Err(refusal(principal, request, &deny))
            }
        }
    }
}

/// What a denial tells the caller: where it is the role, which one would do.
pub fn refusal(principal: &Principal, request: &AccessRequest, deny: &Deny) -> Fault {
    match deny {
        Deny::NotFound => Fault::not_found(),
        Deny::Forbidden(Reason::Role) => {
            Fault::new(FaultKind::Forbidden, of_role(principal, request))
        }
        Deny::Forbidden(reason) => Fault::new(FaultKind::Forbidden, reason.to_string()),
        Deny::NotOffered => {
            let text = "nobody is offered this interaction here; /metadata lists those that are";
            Fault::new(FaultKind::MethodNotAllowed, text)
        }
        Deny::Unavailable => Fault::new(FaultKind::Unavailable, "access cannot be decided now"),
    }
}

fn of_role(principal: &Principal, request: &AccessRequest) -> String {
    let fitting = roles_for(request);
    let names = |roles: &[Role]| {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        names.join(" or ")
    };
    let own = names(principal.roles());
    if principal.roles().iter().any(|role| fitting.contains(role)) {
        return "a token that is limited to one patient does not allow this".to_owned();
    }
    format!("the role {own} does not allow this; it takes {}", names(&fitting))
}
