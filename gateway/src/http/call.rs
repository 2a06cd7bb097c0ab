//! One request as its handler sees it: application, base URL, caller, permit, body.
//!
//! A handler starts with [`Call::as_interaction`], asks for a [`Permit`] and answers through `reply`.
//! Not here: host names and request ids (`guard`), the decision itself (`policy`).

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use bytes::Bytes;
use fhir::{ReadLimits, ResourceId, ResourceKey, ResourceType, Subset};
use policy::{AccessRequest, Deny, Permit, Principal, Reason, Role, roles_for};

use super::budget::Claim;
use super::guard::RequestId;
use super::line::XmlBody;
use super::negotiate::{self, Format};
use super::prefer::{Applied, Prefer, Return};
use super::{binary, body, etag, parameters, part};
use crate::access;
use crate::app::App;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind, brief};
use crate::ingest::{self, Outcome};
use crate::invocation::Invocation;
use crate::limits::PREPARE_INLINE_BYTES_MAX;
use crate::precondition::Tags;
use crate::submission::Submission;
use crate::telemetry::metrics::Interaction;
use crate::work;

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
    /// 406; 400 for a `_pretty` that is no boolean.
    pub fn shown_as(&mut self, query: &str) -> Answered<()> {
        parameters::expect_pretty(query)?;
        self.pretty = negotiate::wants_pretty(query);
        self.format = negotiate::answer_format(self.http.headers(), query)?;
        self.http.extensions_mut().insert(self.format);
        Ok(())
    }

    /// The same for a read of a type whose content may be answered as it is, in whatever form it has.
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

    /// The body of a write to a type as FHIR JSON; for a Binary it may be the content alone.
    ///
    /// # Errors
    /// As [`Call::json_body`].
    pub async fn resource_body(
        &self,
        payload: web::Payload,
        of: ResourceType,
        id: Option<&ResourceId>,
    ) -> Answered<Vec<u8>> {
        let bytes_max = self.app.config.server.body_bytes_max;
        if !binary::is_content(&self.http, of) {
            return self.json_body(payload, bytes_max).await;
        }
        let context = binary::named_context(&self.http, &self.bases())?.unwrap_or_default();
        let content = self.content(payload).await?;
        binary::wrapped(&self.http, id, &context, &content)
    }

    /// The body of a write of content alone.
    ///
    /// # Errors
    /// As [`Call::body`].
    pub async fn content(&self, payload: web::Payload) -> Answered<Vec<u8>> {
        let bytes_max = self.app.config.server.body_bytes_max;
        self.body(payload, binary::content_bytes_max(bytes_max)).await
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

    /// The authenticated caller.
    ///
    /// # Errors
    /// 401.
    pub async fn principal(&self) -> Answered<Arc<Principal>> {
        let bearer = self.http.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
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

    /// The body as FHIR JSON bytes, bounded; what comes as XML is converted, and from there on the JSON is the body.
    ///
    /// # Errors
    /// 400 for what is no FHIR XML, 408, 413, 415, 429.
    pub async fn json_body(&self, payload: web::Payload, bytes_max: usize) -> Answered<Vec<u8>> {
        if let Some(entry) = &self.entry {
            return Ok(entry.body.to_vec());
        }
        let format = negotiate::body_format(&self.http)?;
        let body = self.body(payload, bytes_max).await?;
        if format == Format::Json || body.is_empty() {
            return Ok(body);
        }
        let xml = Bytes::from(body);
        let limits = ReadLimits { bytes_max, ..ReadLimits::default() };
        let source = xml.clone();
        let long = xml.len() > PREPARE_INLINE_BYTES_MAX;
        let made = work::run(long, move || fhir::xml_to_json(&source, &limits)).await?;
        let json = made.map_err(Fault::invalid)?;
        let mut extensions = self.http.extensions_mut();
        if let Some(claim) = extensions.get_mut::<Claim>() {
            claim.cover(xml.len() + json.len())?;
        }
        extensions.insert(XmlBody(xml));
        Ok(json)
    }

    /// The body as it came, where that was XML; the entry of a bundle has none of its own.
    pub fn xml_body(&self) -> Option<Bytes> {
        let extensions = self.http.extensions();
        extensions.get::<XmlBody>().filter(|_| self.entry.is_none()).map(|body| body.0.clone())
    }

    /// The body, bounded; its share of the budget lasts as long as the request.
    ///
    /// # Errors
    /// 408, 413, 415, 429.
    pub async fn body(&self, payload: web::Payload, bytes_max: usize) -> Answered<Vec<u8>> {
        let mut claim = self.app.bodies.claim();
        let timeout_ms = self.app.config.server.body_timeout_ms;
        let read = body::read(&self.http, payload, bytes_max, timeout_ms, &mut claim).await;
        self.http.extensions_mut().insert(claim);
        read
    }
}

/// A conditional interaction without criteria, which is offered with them.
pub(super) fn needs_criteria(method: &str) -> Fault {
    let text = format!("{method} needs an id or search criteria");
    Fault::new(FaultKind::MethodNotAllowed, text)
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
