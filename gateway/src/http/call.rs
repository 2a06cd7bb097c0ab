//! One request as its handler sees it, by itself or as the entry of a bundle: what its URL and headers ask for.
//!
//! A handler starts with [`Call::as_interaction`], asks for a permit, reads the body and answers through `reply`.
//! Not here: who may ask (`permit`), what was sent (`body`), host names and request ids (`guard`).

mod body;
mod permit;

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use fhir::{ResourceId, ResourceKey, ResourceType, Subset};
use policy::Principal;

pub use self::permit::refusal;
use super::guard::RequestId;
use super::negotiate::{self, Format};
use super::prefer::{Applied, Prefer, Return};
use super::{binary, etag, parameters, part};
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest::{self, Outcome};
use crate::invocation::Invocation;
use crate::precondition::Tags;
use crate::submission::Submission;
use crate::telemetry::metrics::Interaction;

/// A request on its way through a handler.
pub struct Call {
    /// The application.
    pub app: Arc<App>,
    /// The request itself.
    pub http: HttpRequest,
    /// Its id.
    pub request_id: String,
    /// What it does, for metrics.
    pub interaction: Interaction,
    /// Whether the answer is indented.
    pub pretty: bool,
    /// The form that the client takes.
    pub format: Format,
    /// The part of each resource that is asked for, but for searches, which read it from their whole query.
    pub part: Option<Subset>,
    /// The entry of the bundle that this call is, with a URL and a body of its own.
    entry: Option<Arc<Invocation>>,
    /// Which preferences had a say.
    pub preferences: Applied,
}

impl FromRequest for Call {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let app = request.app_data::<web::Data<App>>().expect("the app is registered").clone();
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        ready(Ok(Self {
            app: app.into_inner(),
            http: request.clone(),
            request_id: request_id.unwrap_or_default(),
            interaction: Interaction::Other,
            pretty: negotiate::wants_pretty(request.query_string()),
            format: Format::Json,
            part: None,
            entry: None,
            preferences: Applied::default(),
        }))
    }
}

impl Call {
    /// Names the interaction, and refuses a client that cannot take the answer.
    ///
    /// # Errors
    /// 406; 400 for a part of resources that cannot be given, or a precondition that does not go with the interaction.
    pub fn as_interaction(mut self, interaction: Interaction) -> Answered<Self> {
        self.interaction = interaction;
        let query = self.query().to_owned();
        if self.entry.is_none() {
            self.http.extensions_mut().insert(interaction);
            self.shown_as(&query)?;
            etag::expect_heeded(&self.http, interaction)?;
        }
        if interaction != Interaction::Search {
            let of = ResourceType::parse(self.type_name());
            self.part = part::of(&query, interaction, of)?;
        }
        Ok(self)
    }

    /// Takes the form of the answer from the headers and a query; that of a form's fields overrides the URL's.
    ///
    /// # Errors
    /// 406; 400 for a `_pretty` that is no boolean, and for two forms.
    pub fn shown_as(&mut self, query: &str) -> Answered<()> {
        parameters::expect_form(query)?;
        self.pretty = negotiate::wants_pretty(query);
        self.format = negotiate::answer_format(self.http.headers(), query)?;
        self.http.extensions_mut().insert(self.format);
        Ok(())
    }

    /// As [`Call::as_interaction`], for a read of a type whose content may be answered as it is, in whatever form it has.
    ///
    /// # Errors
    /// As [`Call::as_interaction`].
    pub fn as_reading(mut self, interaction: Interaction, of: ResourceType) -> Answered<Self> {
        if !binary::wants_content(&self.http, of) {
            return self.as_interaction(interaction);
        }
        self.interaction = interaction;
        self.http.extensions_mut().insert(interaction);
        etag::expect_heeded(&self.http, interaction)?;
        Ok(self)
    }

    /// The call that an entry of this bundle is: an operation invoked by the same caller. Its answer is JSON, as a part of
    /// the bundle's.
    pub fn of_entry(&self, entry: Arc<Invocation>) -> Self {
        Self {
            app: Arc::clone(&self.app),
            http: self.http.clone(),
            request_id: self.request_id.clone(),
            interaction: Interaction::Operation,
            pretty: false,
            format: Format::Json,
            part: None,
            entry: Some(entry),
            preferences: Applied::default(),
        }
    }

    /// Query of the URL, without its question mark.
    pub fn query(&self) -> &str {
        self.entry.as_ref().map_or_else(|| self.http.query_string(), |entry| &entry.query)
    }

    /// Whether it is a POST.
    pub fn is_post(&self) -> bool {
        self.entry.as_ref().map_or_else(|| *self.http.method() == Method::POST, |e| e.is_post())
    }

    /// Type in the path; empty where it has none.
    pub fn type_name(&self) -> &str {
        match &self.entry {
            Some(entry) => entry.of.map_or("", |of| of.name()),
            None => self.http.match_info().get("type").unwrap_or_default(),
        }
    }

    /// Id in the path; empty where it has none.
    pub fn id(&self) -> &str {
        match &self.entry {
            Some(entry) => entry.id.as_ref().map_or("", ResourceId::as_str),
            None => self.http.match_info().get("id").unwrap_or_default(),
        }
    }

    /// URL of what is asked, without its query.
    pub fn url(&self) -> String {
        match &self.entry {
            Some(entry) => format!("{}/{}", self.base(), entry.path),
            None => format!("{}{}", self.root(), self.http.path()),
        }
    }

    /// What `If-Match` demands; `None` when it is absent.
    ///
    /// # Errors
    /// 400 when it names no version.
    pub fn if_match(&self) -> Answered<Option<Tags>> {
        match &self.entry {
            Some(entry) => Ok(entry.if_match.clone()),
            None => Ok(etag::preconditions(&self.http)?.if_match),
        }
    }

    /// Whether the answer may be gzipped; a part of a bundle never is by itself.
    pub fn accepts_gzip(&self) -> bool {
        self.entry.is_none() && negotiate::accepts_gzip(&self.http)
    }

    /// Base URL of the FHIR service as this client names it, without a slash at the end.
    pub fn base(&self) -> String {
        let path = self.http.path();
        let prefix =
            if path == "/fhir/R4" || path.starts_with("/fhir/R4/") { "/fhir/R4" } else { "/fhir" };
        format!("{}{prefix}", self.root())
    }

    /// All base URLs of this server, to tell its own resources by (see [`fhir::below_base`]); [`Self::base`] first.
    pub fn bases(&self) -> String {
        let own = self.app.hosts.bases(self.host());
        format!("{} {own}", self.base())
    }

    /// Scheme and authority as this client names them.
    pub fn root(&self) -> String {
        self.app.hosts.root(self.host())
    }

    fn host(&self) -> &str {
        let from_header = self.http.headers().get(header::HOST).and_then(|v| v.to_str().ok());
        let authority = self.http.uri().authority().map(|authority| authority.as_str());
        from_header.or(authority).unwrap_or("localhost")
    }

    /// A link of a bundle that keeps the form of this answer (`_format`, `_pretty`).
    pub fn linked(&self, url: &str) -> String {
        match parameters::repeated(self.query()) {
            Ok(form) if !form.is_empty() => {
                let mark = if url.contains('?') { '&' } else { '?' };
                format!("{url}{mark}{form}")
            }
            _ => url.to_owned(),
        }
    }

    /// Commits and records a submission. It goes on when this request is given up (time limit, client gone): keys that
    /// a commit made are kept, and a refusal is recorded.
    ///
    /// # Errors
    /// As [`ingest::submit`].
    pub async fn submit(&self, submission: Submission, caller: &Principal) -> Answered<Outcome> {
        let (app, caller) = (Arc::clone(&self.app), caller.clone());
        let running =
            actix_web::rt::spawn(async move { ingest::submit(&app, submission, &caller).await });
        running.await.unwrap_or_else(|error| {
            tracing::error!(cause = %error, "a write ended without an outcome");
            Err(Fault::new(FaultKind::Internal, "the request failed"))
        })
    }

    /// Criteria of a conditional interaction: the URL's query without what is about the answer.
    pub fn criteria(&self) -> String {
        parameters::criteria(self.http.query_string())
    }

    /// The same where there must be some.
    ///
    /// # Errors
    /// 405: the place takes the method with them.
    pub fn needed_criteria(&self) -> Answered<String> {
        let criteria = self.criteria();
        if criteria.is_empty() {
            let text = format!("{} needs an id or search criteria", self.http.method());
            return Err(Fault::new(FaultKind::MethodNotAllowed, text));
        }
        Ok(criteria)
    }

    /// What the caller prefers a write to answer with. Whoever does so notes it in `preferences`.
    pub fn returns(&self) -> Option<Return> {
        Prefer::of(self.http.headers()).returns
    }

    /// Whether the caller prefers that what is unknown in a query is ignored; the answer tells that this was heeded.
    pub fn is_lenient(&self) -> bool {
        let lenient = Prefer::of(self.http.headers()).lenient;
        self.preferences.handled(lenient);
        lenient == Some(true)
    }

    /// Refuses parameters that the URL of one resource, or of a bundle, does not have.
    ///
    /// # Errors
    /// 400, unless the caller prefers that they are ignored.
    pub fn expect_no_parameters(&self) -> Answered<()> {
        parameters::expect_none(self.http.query_string(), || self.is_lenient())
    }

    /// Whether the caller prefers that what is unknown in a query is refused, whatever it is.
    pub fn is_strict(&self) -> bool {
        Prefer::of(self.http.headers()).lenient == Some(false)
    }
}

/// The type in a path.
///
/// # Errors
/// 404: an unknown type, or one that is not stored, is an unknown place.
pub fn resource_type(name: &str) -> Answered<ResourceType> {
    ResourceType::parse_stored(name).map_err(|why| Fault::new(FaultKind::NotFound, why.to_string()))
}

/// Type and id in a path.
///
/// # Errors
/// 404 for an unknown type, 400 for a malformed id.
pub fn resource_key(name: &str, id: &str) -> Answered<ResourceKey> {
    let resource_type = resource_type(name)?;
    let id = ResourceId::parse(id).map_err(|_| {
        Fault::new(FaultKind::Invalid, "an id is 1 to 64 of A-Z, a-z, 0-9, - and .")
    })?;
    Ok(ResourceKey { resource_type, id })
}
