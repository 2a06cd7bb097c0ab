//! `sealway doctor`: checks an installation, each line ✓, ! or ✗; what is not ✓ says what to do next.
//!
//! A gateway that runs is asked how it is. Without one the database, the log, the keys and the journal are opened
//! and read (`parts`). Nothing stored is changed; a temporary file in the data folder tells how fast its disk is.
//! Not here: whether what is stored is what was written (`ledger fsck`).

mod parts;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::health::local;
use super::{ConfigOptions, out, refuse_config};
use crate::config::Config;
use crate::tls;

/// Check an installation.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway doctor --data-dir /var/lib/sealway\n\n\
    Exit codes: 0 nothing is wrong (! is a warning), 1 something is (✗), 3 the configuration is refused")]
pub struct DoctorArgs {
    #[command(flatten)]
    options: ConfigOptions,
}

/// One check with its result.
struct Check {
    mark: char,
    text: String,
    /// What to do about it.
    next: Option<String>,
}

/// Runs the command: 0 when nothing is ✗, else 1; 3 for a refused configuration.
pub async fn run(args: DoctorArgs) -> u8 {
    let config = match args.options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    let mut checks = vec![
        good("configuration", "all settings are known and well formed"),
        check_tls(&config),
        check_folder(&config.data_dir),
        check_fsync(&config.data_dir),
        check_clock(),
    ];
    match running(&config).await {
        Running::Found { report, is_dev } => {
            checks.push(check_auth(&config, is_dev));
            checks.extend(report);
        }
        Running::Gone(stale) => {
            checks.push(check_auth(&config, false));
            checks.extend(stale);
            checks.push(check_listen(&config));
            checks.extend(parts::check(&config).await);
        }
    }
    for check in &checks {
        out::line(format_args!("{} {}", check.mark, check.text));
        if let Some(next) = &check.next {
            out::line(format_args!("    {next}"));
        }
    }
    u8::from(checks.iter().any(|check| check.mark == '✗'))
}

fn good(name: &str, text: &str) -> Check {
    Check { mark: '✓', text: format!("{name}: {text}"), next: None }
}

fn warn(name: &str, text: &str, next: &str) -> Check {
    Check { mark: '!', text: format!("{name}: {text}"), next: Some(next.to_owned()) }
}

fn bad(name: &str, text: &str, next: &str) -> Check {
    Check { mark: '✗', ..warn(name, text, next) }
}

/// Whether a gateway answers.
enum Running {
    /// It does, and says this of itself; with a development issuer when `dev.json` names it.
    Found { report: Vec<Check>, is_dev: bool },
    /// None does; a warning when one should.
    Gone(Option<Check>),
}

/// Asks the gateway that `dev.json` names, or else the one at the configured address.
async fn running(config: &Config) -> Running {
    let described = std::fs::read(config.data_dir.join("dev.json")).ok();
    let described: Option<Value> = described.and_then(|text| serde_json::from_slice(&text).ok());
    let named = described.as_ref().and_then(|described| described["fhir"].as_str());
    let named = named.map(|fhir| fhir.trim_end_matches("/fhir").to_owned());
    let scheme = if config.serves_tls() { "https" } else { "http" };
    let configured = format!("{scheme}://{}", local(config.server.listen));
    for root in named.iter().chain([&configured]) {
        if let Some(health) = ask(root).await {
            let is_dev = named.as_ref() == Some(root);
            return Running::Found { report: report(root, &health), is_dev };
        }
    }
    Running::Gone(named.map(|root| {
        let text = format!("dev.json names one at {root}, which does not answer");
        let next = "it was stopped or is starting; `sealway serve --dev-issuer` starts it again";
        warn("gateway", &text, next)
    }))
}

/// `/health` of a gateway; `None` when something else or nothing is there. On this machine the certificate names
/// another host and nothing secret is sent: it is not checked.
async fn ask(root: &str) -> Option<Value> {
    let client = reqwest::Client::builder().timeout(ASK_TIMEOUT);
    let client = client.tls_danger_accept_invalid_certs(true).build().ok()?;
    let answer = client.get(format!("{root}/health")).send().await.ok()?;
    let health: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
    health["status"].is_string().then_some(health)
}

fn report(root: &str, health: &Value) -> Vec<Check> {
    let next = "its log says why; stop it, and `sealway doctor` opens each part by itself";
    let passed = |of: &Value| of["status"].as_str() == Some("pass");
    let version = health["version"].as_str().unwrap_or("unknown");
    let text = format!("version {version} answers at {root}");
    let mut checks = vec![if passed(health) {
        good("gateway", &text)
    } else {
        bad("gateway", &format!("{text} and is not ready"), next)
    }];
    let parts = health["checks"].as_object();
    checks.extend(parts.into_iter().flatten().map(|(name, part)| {
        let detail = part[0]["output"].as_str().unwrap_or_default();
        if passed(&part[0]) { good(name, detail) } else { bad(name, detail, next) }
    }));
    checks
}

fn check_tls(config: &Config) -> Check {
    match tls::server_config(&config.tls, config.server.listen) {
        Ok(Some(_)) => good("tls", "certificate and key load"),
        Ok(None) => good("tls", "not needed on loopback"),
        Err(error) => bad("tls", &error.to_string(), "`sealway config show --origin` shows tls.*"),
    }
}

fn check_listen(config: &Config) -> Check {
    let address = config.server.listen;
    match std::net::TcpListener::bind(address) {
        Ok(_) => good("server.listen", &format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bad(
            "server.listen",
            &format!("{address} is taken, and not by a gateway"),
            &super::serve::occupied(address.port(), "--listen"),
        ),
        Err(error) => bad(
            "server.listen",
            &format!("{address}: {error}"),
            "choose an address of this machine with --listen ADDRESS:PORT",
        ),
    }
}

fn check_folder(folder: &Path) -> Check {
    let (name, shown) = ("data_dir", folder.display());
    let next = "name another folder with --data-dir, or give this one to the user who runs sealway";
    match std::fs::metadata(folder) {
        Ok(found) if !found.is_dir() => bad(name, &format!("{shown} is not a folder"), next),
        Ok(found) if found.permissions().readonly() => {
            bad(name, &format!("{shown} is read-only"), next)
        }
        Ok(_) => good(name, &format!("{shown} exists")),
        Err(_) => {
            let next = "`sealway serve` makes it; if it should be there, name it with --data-dir";
            warn(name, &format!("{shown} does not exist yet"), next)
        }
    }
}

/// The speed bars hold where a durable write takes at most a millisecond at the median.
fn check_fsync(folder: &Path) -> Check {
    let place = if folder.is_dir() { folder } else { Path::new(".") };
    match fsync_median_us(place) {
        Ok(us) if us <= 1_000 => good("disk", &format!("fsync takes {us} µs at the median")),
        Ok(us) => warn(
            "disk",
            &format!("fsync takes {us} µs at the median; every write waits for it"),
            "put data_dir on a local disk with power-loss protection for full speed",
        ),
        Err(error) => bad(
            "disk",
            &format!("cannot write in {}: {error}", place.display()),
            "free space, or give the folder to the user who runs sealway",
        ),
    }
}

fn fsync_median_us(folder: &Path) -> std::io::Result<u64> {
    use std::io::Write;

    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut times = Vec::with_capacity(FSYNCS);
    for _ in 0..FSYNCS {
        let started = std::time::Instant::now();
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        times.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    times.sort_unstable();
    Ok(times[FSYNCS / 2])
}

fn check_auth(config: &Config, is_dev: bool) -> Check {
    let next = "set [[auth.issuer]] (`sealway config example` shows it)";
    match (config.auth.issuer.len(), config.auth.dev_issuer || is_dev) {
        (0, false) => bad(
            "auth",
            "no issuer is configured: without `serve --dev-issuer` every request is refused",
            &format!("{next}, or start `sealway serve --dev-issuer` on loopback"),
        ),
        (0, true) => warn("auth", "only the development issuer", next),
        (count, _) => good("auth", &format!("{count} issuers")),
    }
}

fn check_clock() -> Check {
    const RELEASED_US: i64 = 1_790_000_000_000_000;
    if crate::clock::now_us() > RELEASED_US {
        good("clock", "later than this release")
    } else {
        bad("clock", "is earlier than this release", "set the time, and keep it by NTP")
    }
}

const FSYNCS: usize = 31;
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
