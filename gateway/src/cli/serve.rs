//! `sealway serve`: the gateway until a signal, then a graceful stop.

use clap::Args;

use super::{ConfigOptions, out, refuse_config};
use crate::app::OpenError;
use crate::config::Config;
use crate::gateway::{Gateway, StartError};
use crate::http::server::ServeError;
use crate::message::Desk;
use crate::mllp::BindError;
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
            out::note(format_args!("sealway: cannot start: {error}"));
            return 1;
        }
    };
    match runtime.block_on(until_signal(config)) {
        Ok(()) => 0,
        Err(error) => refuse_start(&error),
    }
}

/// Says why a gateway did not start, and what to do: 3 for what a setting mends, else 1.
pub(crate) fn refuse_start(error: &StartError) -> u8 {
    let taken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::AddrInUse;
    let next = match error {
        StartError::Serve(ServeError::Bind { address, source }) if taken(source) => {
            occupied(address.port(), "--listen")
        }
        StartError::Mllp(BindError::Bind(address, cause)) if taken(cause) => {
            occupied(address.port(), "--mllp")
        }
        StartError::Open(OpenError::Held(_)) => {
            "stop that one first, or name another folder with --data-dir DIR".to_owned()
        }
        StartError::Open(OpenError::Config(_)) | StartError::Serve(_) | StartError::Mllp(_) => {
            return refuse_config(error);
        }
        _ => {
            out::note(format_args!("sealway: {error}\n  `sealway doctor` looks at each part"));
            return 1;
        }
    };
    out::note(format_args!("sealway: {error}\n  {next}"));
    3
}

/// What to do about a port that another process has.
pub(crate) fn occupied(port: u16, flag: &str) -> String {
    format!(
        "another process has port {port} (`ss -ltnp 'sport = :{port}'` names it): stop it, or choose another \
         address with {flag} ADDRESS:PORT"
    )
}

async fn until_signal(config: Config) -> Result<(), StartError> {
    let started = std::time::Instant::now();
    let describes = config.auth.dev_issuer.then(|| config.data_dir.join("dev.json"));
    if config.auth.issuer.is_empty() && !config.auth.dev_issuer {
        tracing::warn!(
            "no token issuer is configured: every request will be refused with 401. For real use set [[auth.issuer]] \
             (`sealway config example` shows it); to try things out on loopback start with --dev-issuer"
        );
    }
    let gateway = Gateway::start(config, Desk::default()).await?;
    if let Some(file) = describes {
        gateway.describe(&file, None)?;
        tracing::info!(file = %file.display(), "development issuer: addresses and tokens are in this file");
    }
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        server.address = %gateway.http,
        mllp.address = gateway.mllp.map(tracing::field::display),
        start.duration_ms = took_ms,
        "serving FHIR R4 at {}",
        gateway.fhir_base()
    );
    signal().await;
    tracing::info!("stopping: no new connections, running requests end");
    gateway.stop().await;
    Ok(())
}

/// SIGTERM or Ctrl-C; a second Ctrl-C ends at once.
pub(crate) async fn signal() {
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
