//! A gateway for one test, and a client that speaks to it.

use std::sync::Arc;
use std::time::Duration;

use gateway::app::{App, OpenError};
use gateway::auth::TokenRequest;
use gateway::clock;
use gateway::config::Config;
use gateway::gateway::Gateway;
use gateway::message::Desk;
use policy::Role;
use registry::access::Journal;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// A running gateway in a folder of its own.
pub(crate) struct Site {
    pub(crate) app: Arc<App>,
    pub(crate) base: String,
    pub(crate) root: String,
    gateway: Option<Gateway>,
    folder: tempfile::TempDir,
    client: reqwest::Client,
    token: String,
}

/// An answer, taken whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path());
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.auth.dev_issuer = true;
        config.ledger.checkpoint_ms = 50;
        config.ledger.checkpoint_loaded_ms = 50;
        change(&mut config);
        let app = App::open(config).await.unwrap();
        Self::serve(app, folder).await
    }

    /// Over an access journal of the test's own.
    pub(crate) async fn start_over(journal: Journal) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path());
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.auth.dev_issuer = true;
        let app = App::open_over(config, journal).await.unwrap();
        Self::serve(app, folder).await
    }

    async fn serve(app: Arc<App>, folder: tempfile::TempDir) -> Self {
        let gateway = Gateway::over(Arc::clone(&app), Desk::default()).await.unwrap();
        let root = format!("http://{}", gateway.http);
        let mut site = Self {
            base: format!("{root}/fhir"),
            root,
            gateway: Some(gateway),
            folder,
            client: reqwest::Client::new(),
            token: String::new(),
            app,
        };
        if site.app.dev_issuer.is_some() {
            site.token = site.token_of(Role::System, None);
        }
        site
    }

    /// Stops everything in order and gives the folder back.
    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        closed(self.app).await;
        self.folder
    }

    /// Stops, and opens the same folder again: nothing is in memory then.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        let (mut config, folder) = (self.app.config.clone(), self.folder);
        change(&mut config);
        closed(self.app).await;
        Self::serve(open_again(config).await, folder).await
    }

    /// Opens a folder that was stopped, with other settings.
    pub(crate) async fn open_in(config: Config, folder: tempfile::TempDir) -> Self {
        Self::serve(open_again(config).await, folder).await
    }

    /// Of a clinician's application that is limited to one patient.
    pub(crate) fn limited_token(&self, patient: &str) -> String {
        let patient = fhir::ResourceId::parse(patient).unwrap();
        let request = TokenRequest {
            role: Role::Clinician,
            patient: Some(&patient),
            scope: Some("patient/*.cruds"),
            lifetime_seconds: 600,
        };
        self.app.dev_issuer.as_ref().unwrap().token(&request, clock::now()).unwrap()
    }

    /// A token with these scopes instead of the role's own.
    pub(crate) fn scoped_token(&self, role: Role, scope: &str) -> String {
        let request =
            TokenRequest { role, patient: None, scope: Some(scope), lifetime_seconds: 600 };
        self.app.dev_issuer.as_ref().unwrap().token(&request, clock::now()).unwrap()
    }

    pub(crate) fn token_of(&self, role: Role, patient: Option<&str>) -> String {
        let patient = patient.map(|id| fhir::ResourceId::parse(id).unwrap());
        let request =
            TokenRequest { role, patient: patient.as_ref(), scope: None, lifetime_seconds: 600 };
        self.app.dev_issuer.as_ref().unwrap().token(&request, clock::now()).unwrap()
    }

    /// Address of the HL7 v2 listener.
    pub(crate) fn mllp(&self) -> std::net::SocketAddr {
        self.gateway.as_ref().and_then(|gateway| gateway.mllp).unwrap()
    }

    /// A request by the system role; `path` is below the base.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(&self.token, method, path)
    }

    pub(crate) fn request_as(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.client.request(method, url).bearer_auth(token)
    }

    /// A request without a token; `path` is below the root.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.root))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        Answer::of(self.request_as(token, Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).body(body.to_string()).header(TYPE, JSON)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).body(body.to_string()).header(TYPE, JSON)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Creates a resource and gives its reference.
    pub(crate) async fn create(&self, body: &Value) -> String {
        let answer = self.post(&format!("/{}", body["resourceType"].as_str().unwrap()), body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let created = answer.json();
        format!("{}/{}", created["resourceType"].as_str().unwrap(), created["id"].as_str().unwrap())
    }

    /// The receipt of a version, once it is under a checkpoint; `version` is below the base.
    pub(crate) async fn sealed_receipt(&self, version: &str) -> Vec<u8> {
        let path = format!("{version}/$receipt?{SEAL_WAIT}");
        for _ in 0..SEAL_WAITS_MAX {
            let receipt = self.get(&path).await.expect(200).bytes;
            if is_sealed(&receipt) {
                return receipt;
            }
        }
        panic!("{version} is not sealed");
    }

    /// Exact number of resources that a search finds.
    pub(crate) async fn count(&self, query: &str) -> u64 {
        let separator = if query.contains('?') { '&' } else { '?' };
        let answer = self.get(&format!("/{query}{separator}_summary=count")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["total"].as_u64().unwrap()
    }
}

/// Waits until nobody else holds the registry, and closes it: what is done to its files then is done to all there is of it.
async fn closed(app: Arc<App>) {
    let store = Arc::clone(&app.store);
    drop(app);
    for _ in 0..2_000 {
        if Arc::strong_count(&store) == 1 {
            // It waits for its threads.
            return tokio::task::block_in_place(|| drop(store));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("something holds the registry of a gateway that was stopped");
}

/// Opens a folder that was just closed. A process that another test is starting has its locks for a moment, until it
/// runs its program.
async fn open_again(config: Config) -> Arc<App> {
    for _ in 0..1_000 {
        match App::open(config.clone()).await {
            Err(OpenError::Held(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the folder is held for good");
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::from(request.send().await.unwrap()).await
    }

    async fn from(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            bytes: response.bytes().await.unwrap().to_vec(),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).chars().take(600).collect()
    }

    pub(crate) fn text_all(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `issue[0].code` and `issue[0].expression[0]` of an OperationOutcome.
    pub(crate) fn issue(&self) -> (String, String) {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert_eq!(outcome["issue"][0]["details"]["text"], outcome["issue"][0]["diagnostics"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&outcome["issue"][0]["code"]), text(&outcome["issue"][0]["expression"][0]))
    }
}

/// True for a receipt with its checkpoint; one that is pending is answered with 200, too.
pub(crate) fn is_sealed(receipt: &[u8]) -> bool {
    String::from_utf8_lossy(receipt).contains("\"checkpoint\"")
}

/// A patient with this family name.
pub(crate) fn patient(family: &str) -> Value {
    json!({"resourceType": "Patient", "name": [{"family": family}]})
}

pub(crate) const TYPE: &str = "content-type";
pub(crate) const JSON: &str = "application/fhir+json";
/// What asks the gateway to wait for the seal.
pub(crate) const SEAL_WAIT: &str = "wait=10";
/// A busy machine takes its time.
pub(crate) const SEAL_WAITS_MAX: u32 = 3;
