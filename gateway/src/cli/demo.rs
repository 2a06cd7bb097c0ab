//! `sealway demo`: a whole gateway with synthetic data in a temporary folder, offline, ready in seconds.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::out;
use super::serve::{refuse_start, signal};
use crate::config::Config;
use crate::demo::{Seeded, sample_message, seed};
use crate::gateway::{Gateway, StartError};
use crate::message::Desk;
use crate::telemetry;

/// Run a gateway with synthetic data; nothing to set up, nothing left behind.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway demo\n  sealway demo --port 9000 --keep ./try")]
pub struct DemoArgs {
    /// Port of FHIR on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of HL7 v2 (MLLP) on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 2575)]
    mllp_port: u16,
    /// Keep everything in this folder (made if absent; used again if not)
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the command; the number is the exit code.
pub fn run(args: &DemoArgs) -> u8 {
    let started = Instant::now();
    // Held until the end: dropping it deletes the folder.
    let temporary;
    let folder = match &args.keep {
        Some(folder) => match keep(folder) {
            Ok(()) => folder.clone(),
            Err(code) => return code,
        },
        None => match tempfile::Builder::new().prefix("sealway-demo-").tempdir() {
            Ok(made) => {
                temporary = made;
                temporary.path().to_path_buf()
            }
            Err(error) => {
                out::note(format_args!(
                    "sealway demo: no temporary folder: {error}; name one with --keep DIR"
                ));
                return 3;
            }
        },
    };
    let Some(folder) = absolute(&folder) else {
        out::note(format_args!("sealway demo: {} cannot be named from the root", folder.display()));
        return 3;
    };
    if let Some(port) = [(args.port, "--port"), (args.mllp_port, "--mllp-port")]
        .into_iter()
        .find(|(port, _)| is_taken(*port))
    {
        out::note(format_args!(
            "sealway demo: port {} is taken; choose another with {} N",
            port.0, port.1
        ));
        return 3;
    }
    let config = config(args, &folder);
    let _telemetry = match telemetry::install(&config.telemetry) {
        Ok(guard) => guard,
        Err(error) => return super::refuse_config(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::note(format_args!("sealway demo: cannot start: {error}"));
            return 1;
        }
    };
    match runtime.block_on(demo(config, &folder, args.keep.is_some(), started)) {
        Ok(()) => 0,
        Err(DemoError::Start(error)) => refuse_start(&error),
        Err(error) => {
            out::note(format_args!("sealway demo: {error}"));
            1
        }
    }
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the sample data could not be stored: {0}")]
    Seed(#[from] crate::error::Fault),
    #[error("cannot write into the folder: {0}")]
    Write(#[from] std::io::Error),
    #[error("the ledger did not publish the samples within {SEAL_WAIT:?}")]
    Unsealed,
}

fn config(args: &DemoArgs, folder: &Path) -> Config {
    let mut config = Config::in_folder(folder);
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    config.server.listen = at(args.port);
    config.mllp.listen = Some(at(args.mllp_port));
    config.auth.dev_issuer = true;
    config.telemetry.log_filter = "warn".to_owned();
    config
}

async fn demo(
    config: Config,
    folder: &Path,
    is_kept: bool,
    started: Instant,
) -> Result<(), DemoError> {
    let gateway = Gateway::start(config, Desk::default()).await?;
    let seeded = seed(&gateway.app, &Desk::default()).await?;
    sealed(&gateway).await?;
    gateway.describe(&folder.join("demo.json"), Some(&seeded.patient))?;
    std::fs::write(folder.join("message.hl7"), sample_message())?;
    out::text(banner(&gateway, folder, is_kept, &seeded));
    out::line(format_args!("ready in {:.1} s; Ctrl-C stops it", started.elapsed().as_secs_f64()));
    signal().await;
    gateway.stop().await;
    Ok(())
}

/// Waits until everything stored so far is under a signed checkpoint, so that receipts can be asked for.
async fn sealed(gateway: &Gateway) -> Result<(), DemoError> {
    let started = Instant::now();
    // The metric of what waits is of the last checkpoint; only the outbox knows of what came since.
    while !matches!(gateway.app.store.outbox(0, 1).await, Ok(rows) if rows.is_empty()) {
        if started.elapsed() > SEAL_WAIT {
            return Err(DemoError::Unsealed);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn banner(gateway: &Gateway, folder: &Path, is_kept: bool, seeded: &Seeded) -> String {
    let program = std::env::current_exe().ok().and_then(|p| p.to_str().map(str::to_owned));
    let sealway = quoted(program.as_deref().unwrap_or("sealway"));
    let dir = quoted(&folder.display().to_string());
    let fhir = gateway.fhir_base();
    let mllp = gateway.mllp.map_or_else(String::new, |address| address.to_string());
    let patient = &seeded.patient;
    let fate = if is_kept { "kept" } else { "deleted on exit" };
    let as_role = |role: &str| {
        format!(
            "curl -s -H \"Authorization: Bearer $({sealway} token --role {role} --data-dir {dir})\""
        )
    };
    let (clinician, auditor, operator) =
        (as_role("clinician"), as_role("auditor"), as_role("operator"));
    format!(
        "sealway {version} · DEMO — synthetic data, in {folder} ({fate})
  FHIR R4   {fhir}          HL7 v2  {mllp} (MLLP)
  Roles     clinician, patient, system, auditor, operator; tokens and addresses in demo.json there
  Loaded    {applied} messages applied, {quarantined} in quarantine

Try, in another terminal:
1. A clinician searches for laboratory results:
   {clinician} '{fhir}/Observation?code=718-7&_count=2'
2. The hospital sends a message; sent again, it is answered alike and changes nothing:
   {sealway} send mllp {dir}/message.hl7 --to {mllp}
3. What could not be applied waits for an operator, with the reason:
   {operator} '{fhir}/Task?business-status=quarantined'
4. An auditor is refused clinical data:
   {auditor} {fhir}/Patient/{patient}
5. A receipt is verified offline, against the bytes themselves:
   {clinician} {fhir}/Patient/{patient}/_history/1 -o {dir}/patient.json && {clinician} '{fhir}/Patient/{patient}/_history/1/$receipt' -o {dir}/receipt.json && {sealway} verify {dir}/patient.json {dir}/receipt.json --trust {dir}/trust.json

",
        version = env!("CARGO_PKG_VERSION"),
        folder = folder.display(),
        applied = seeded.applied,
        quarantined = seeded.quarantined,
    )
}

/// A word that a POSIX shell takes as it is.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn absolute(folder: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(folder).ok()
}

/// Makes the folder; refuses one with contents of another origin, as synthetic patients must not get among real ones.
fn keep(folder: &Path) -> Result<(), u8> {
    let told = folder.display();
    if is_foreign(folder) {
        out::note(format_args!(
            "sealway demo: --keep {told}: the folder holds something that no demo made; name a new one"
        ));
        return Err(2);
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        out::note(format_args!("sealway demo: --keep {told}: {error}"));
        3
    })
}

fn is_foreign(folder: &Path) -> bool {
    let has_contents = std::fs::read_dir(folder).is_ok_and(|mut found| found.next().is_some());
    has_contents && !folder.join("demo.json").exists()
}

/// True when somebody listens there; 0 is never taken.
fn is_taken(port: u16) -> bool {
    port != 0 && std::net::TcpListener::bind(("127.0.0.1", port)).is_err()
}

const SEAL_WAIT: Duration = Duration::from_secs(10);
