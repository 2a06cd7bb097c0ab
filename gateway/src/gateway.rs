//! A whole gateway in one value: application, HTTP side, HL7 v2 listener; started and stopped in order.
//!
//! `serve`, `demo` and the tests start the same thing.
//! Not here: signals and the command line (`cli`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fhir::ResourceId;
use policy::Role;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, KEY_SWEEP, OpenError};
use crate::auth::TokenRequest;
use crate::clock;
use crate::config::Config;
use crate::http::server::{ServeError, Served, serve};
use crate::keyfile;
use crate::message::Desk;
use crate::mllp::{BindError, Listener};
use crate::telemetry::{self, MetricsGuard};

/// A running gateway.
pub struct Gateway {
    /// The application.
    pub app: Arc<App>,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Where HL7 v2 listens, if it does.
    pub mllp: Option<SocketAddr>,
    served: Served,
    listening: Option<JoinHandle<()>>,
    sweep: JoinHandle<()>,
    indexing: JoinHandle<()>,
    erasing: JoinHandle<()>,
    upkeep: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _metrics: Option<MetricsGuard>,
}

/// Why a gateway did not start. Nothing keeps running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The application.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The HTTP side.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The HL7 v2 listener.
    #[error(transparent)]
    Mllp(#[from] BindError),
    /// A file that describes the gateway cannot be written.
    #[error("cannot write {0}: {1}")]
    Describe(PathBuf, std::io::Error),
}

impl Gateway {
    /// Opens and listens. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config, desk: Desk) -> Result<Self, StartError> {
        Self::over(App::open(config).await?, desk).await
    }

    /// Listens for an application that is open already.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn over(app: Arc<App>, desk: Desk) -> Result<Self, StartError> {
        let desk = Arc::new(desk);
        let metrics = telemetry::export_metrics(&app.config.telemetry, &app.metrics)
            .map_err(OpenError::Config)?;
        let listener = match app.config.mllp.listen {
            Some(address) => Some(Listener::bind(&app.config, address).await?),
            None => None,
        };
        let mllp = listener.as_ref().and_then(|listener| listener.address().ok());
        let served = serve(Arc::clone(&app), Arc::clone(&desk))?;
        let (stop, stopped) = watch::channel(false);
        let listening = listener
            .map(|listener| tokio::spawn(listener.run(Arc::clone(&app), desk, stopped.clone())));
        let sweep = tokio::spawn(expire_keys(Arc::clone(&app)));
        let indexing = tokio::spawn(crate::search_params::reindex::run(Arc::clone(&app)));
        let upkeep = tokio::spawn(crate::upkeep::run(Arc::clone(&app)));
        let erasing = tokio::spawn(crate::erasure::run(Arc::clone(&app)));
        Ok(Self {
            http: served.address,
            mllp,
            app,
            served,
            listening,
            sweep,
            indexing,
            erasing,
            upkeep,
            stop,
            _metrics: metrics,
        })
    }

    /// FHIR base URL on the listening address.
    pub fn fhir_base(&self) -> String {
        let scheme = if self.app.config.serves_tls() { "https" } else { "http" };
        format!("{scheme}://{}/fhir", self.http)
    }

    /// Writes where this gateway is, how to trust it, and a day-long token per role of its development issuer.
    /// `patient` is the patient of the patient's token.
    ///
    /// # Errors
    /// [`StartError::Describe`].
    pub fn describe(&self, file: &Path, patient: Option<&ResourceId>) -> Result<(), StartError> {
        let trust = self.app.config.data_dir.join("trust.json");
        let failed = |file: &Path| {
            let file = file.to_path_buf();
            move |error| StartError::Describe(file, error)
        };
        std::fs::write(&trust, self.app.ledger.trust().to_json()).map_err(failed(&trust))?;
        let described = json!({
            "schema": "sealway.gateway/v1",
            "pid": std::process::id(),
            "fhir": self.fhir_base(),
            "mllp": self.mllp.map(|address| address.to_string()),
            "trust": trust,
            "tokens": self.tokens(patient),
        });
        keyfile::write_private(file, described.to_string().as_bytes()).map_err(failed(file))
    }

    /// A token per role, as far as the development issuer runs.
    pub fn tokens(
        &self,
        patient: Option<&ResourceId>,
    ) -> serde_json::Map<String, serde_json::Value> {
        let mut tokens = serde_json::Map::new();
        let Some(issuer) = &self.app.dev_issuer else { return tokens };
        for role in Role::ALL {
            let request =
                TokenRequest { role, patient, scope: None, lifetime_seconds: TOKEN_SECONDS };
            // A patient's token needs a patient; without one there is none.
            if let Ok(token) = issuer.token(&request, clock::now()) {
                tokens.insert(role.name().to_owned(), token.into());
            }
        }
        tokens
    }

    /// Stops listening, lets running work end, seals what is left.
    pub async fn stop(self) {
        let _nobody_listens = self.stop.send(true);
        let tasks = [self.sweep, self.indexing, self.erasing, self.upkeep];
        tasks.iter().for_each(JoinHandle::abort);
        // They end where they wait, and only then let go of what they hold. One that panicked has reported it.
        let _ended = futures::future::join_all(tasks).await;
        self.served.stop().await;
        if let Some(listening) = self.listening
            && listening.await.is_err()
        {
            tracing::warn!("the HL7 v2 listener ended badly");
        }
        self.app.close().await;
    }
}

async fn expire_keys(app: Arc<App>) {
    loop {
        tokio::time::sleep(KEY_SWEEP).await;
        app.payloads.expire();
    }
}

const TOKEN_SECONDS: i64 = 24 * 3600;
