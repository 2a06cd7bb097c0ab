//! `sealway serve`: the gateway until a signal, then a graceful stop.

use clap::Args;

use super::{ConfigOptions, refuse_config};
use crate::app::{App, KEY_SWEEP, OpenError};
use crate::config::Config;
use crate::http::server::{ServeError, serve};
use crate::telemetry;

/// Run the gateway.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway serve --data-dir /var/lib/sealway\n  \
    sealway serve --listen 127.0.0.1:8080 --dev-issuer")]
pub struct ServeArgs {
    #[command(flatten)]
    options: ConfigOptions,
    /// Address of the HTTP side
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Address of the HL7 v2 listener
    #[arg(long, value_name = "ADDRESS")]
    mllp: Option<String>,
    /// Database: `postgres://…`; SQLite in the data folder without it
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Start the development issuer (loopback only)
    #[arg(long)]
    dev_issuer: bool,
}

/// Runs the command; the number is the exit code.
pub fn run(args: ServeArgs) -> u8 {
    let mut flags = Vec::new();
    let mut flag = |name, value: Option<String>| flags.extend(value.map(|value| (name, value)));
    flag("server.listen", args.listen);
    flag("mllp.listen", args.mllp);
    flag("database.url", args.database);
    flag("auth.dev_issuer", args.dev_issuer.then(|| "true".to_owned()));
    let config = match args.options.load(flags) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    // The exporter's blocking client must be made outside of the runtime.
    let _telemetry = match telemetry::install(&config.telemetry) {
        Ok(guard) => guard,
        Err(error) => return refuse_config(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sealway: cannot start: {error}");
            return 1;
        }
    };
    match runtime.block_on(until_signal(config)) {
        Ok(()) => 0,
        Err(StartError::Open(OpenError::Config(error))) => refuse_config(&error),
        Err(StartError::Serve(ServeError::Config(error))) => refuse_config(&error),
        Err(error) => {
            eprintln!("sealway: {error}");
            1
        }
    }
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

async fn until_signal(config: Config) -> Result<(), StartError> {
    let started = std::time::Instant::now();
    let app = App::open(config).await?;
    let served = serve(std::sync::Arc::clone(&app))?;
    let scheme = if app.config.serves_tls() { "https" } else { "http" };
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        server.address = %served.address,
        start.duration_ms = took_ms,
        "serving FHIR R4 at {scheme}://{}/fhir",
        served.address
    );
    let sweep = tokio::spawn({
        let app = std::sync::Arc::clone(&app);
        async move {
            loop {
                tokio::time::sleep(KEY_SWEEP).await;
                app.payloads.expire();
            }
        }
    });
    signal().await;
    tracing::info!("stopping: no new connections, running requests end");
    sweep.abort();
    served.stop().await;
    app.close().await;
    Ok(())
}

/// SIGTERM or Ctrl-C; a second Ctrl-C ends at once.
async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
            }
            Err(_) => {
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}
