//! `sealway doctor`: checks an installation, each line ✓, ! or ✗ with what to do.

use std::path::Path;

use clap::Args;

use super::{ConfigOptions, refuse_config};
use crate::config::Config;
use crate::tls;

/// Check an installation.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    options: ConfigOptions,
}

/// One check with its result.
struct Check {
    mark: char,
    text: String,
}

/// Runs the command: 0 when nothing is ✗, else 1; 3 for a refused configuration.
pub async fn run(args: DoctorArgs) -> u8 {
    let config = match args.options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    let checks = [
        good("configuration", "all settings are known and well formed"),
        check_tls(&config),
        check_listen(&config),
        check_folder(&config.data_dir),
        check_fsync(&config.data_dir),
        check_auth(&config),
        check_clock(),
    ];
    for check in &checks {
        println!("{} {}", check.mark, check.text);
    }
    u8::from(checks.iter().any(|check| check.mark == '✗'))
}

fn good(name: &str, text: &str) -> Check {
    Check { mark: '✓', text: format!("{name}: {text}") }
}

fn warn(name: &str, text: &str) -> Check {
    Check { mark: '!', text: format!("{name}: {text}") }
}

fn bad(name: &str, text: &str) -> Check {
    Check { mark: '✗', text: format!("{name}: {text}") }
}

fn check_tls(config: &Config) -> Check {
    match tls::server_config(&config.tls, config.server.listen) {
        Ok(Some(_)) => good("tls", "certificate and key load"),
        Ok(None) => good("tls", "not needed on loopback"),
        Err(error) => bad("tls", &error.to_string()),
    }
}

fn check_listen(config: &Config) -> Check {
    let address = config.server.listen;
    match std::net::TcpListener::bind(address) {
        Ok(_) => good("server.listen", &format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            warn("server.listen", &format!("{address} is in use (by a running gateway?)"))
        }
        Err(error) => bad("server.listen", &format!("{address}: {error}")),
    }
}

fn check_folder(folder: &Path) -> Check {
    let name = "data_dir";
    let shown = folder.display();
    match std::fs::metadata(folder) {
        Ok(found) if !found.is_dir() => bad(name, &format!("{shown} is not a folder")),
        Ok(found) if found.permissions().readonly() => bad(name, &format!("{shown} is read-only")),
        Ok(_) => good(name, &format!("{shown} exists")),
        Err(_) => warn(name, &format!("{shown} does not exist yet; `sealway serve` makes it")),
    }
}

/// The speed bars hold where a durable write takes at most a millisecond at the median.
fn check_fsync(folder: &Path) -> Check {
    let place = if folder.is_dir() { folder } else { Path::new(".") };
    match fsync_median_us(place) {
        Ok(us) if us <= 1_000 => good("disk", &format!("fsync takes {us} µs at the median")),
        Ok(us) => warn("disk", &format!("fsync takes {us} µs at the median; writes wait for it")),
        Err(error) => bad("disk", &format!("cannot write in {}: {error}", place.display())),
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

fn check_auth(config: &Config) -> Check {
    match (config.auth.issuer.len(), config.auth.dev_issuer) {
        (0, false) => {
            bad("auth", "no issuer: set [[auth.issuer]], or try `--dev-issuer` on loopback")
        }
        (0, true) => warn("auth", "only the development issuer"),
        (count, _) => good("auth", &format!("{count} issuers")),
    }
}

fn check_clock() -> Check {
    const RELEASED_US: i64 = 1_790_000_000_000_000;
    if crate::clock::now_us() > RELEASED_US {
        good("clock", "later than this release")
    } else {
        bad("clock", "is earlier than this release; set the time")
    }
}

const FSYNCS: usize = 31;
