//! `sealway health`: asks the local gateway's `/readyz`; for container health checks, without curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

use super::{ConfigOptions, out, refuse_config};

/// Exit 0 when the local gateway is ready.
#[derive(Args, Debug)]
pub struct HealthArgs {
    #[command(flatten)]
    options: ConfigOptions,
    /// URL of another gateway
    #[arg(long)]
    url: Option<String>,
}

/// Runs the command: 0 ready, 1 not ready, 5 unreachable.
pub fn run(args: &HealthArgs) -> u8 {
    let config = match args.options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    let plain = args.url.is_none() && !config.serves_tls();
    let status = if plain {
        ask_plainly(&local(config.server.listen).to_string())
    } else {
        let local = format!("https://{}", local(config.server.listen));
        let url = args.url.clone().unwrap_or(local);
        ask(url.trim_end_matches('/').trim_end_matches("/fhir"), args.url.is_none())
    };
    match status {
        Ok(200) => {
            out::line("ready");
            0
        }
        Ok(status) => {
            out::line(format_args!("not ready ({status})"));
            1
        }
        Err(error) => {
            out::note(format_args!("sealway health: {error}\n  is the gateway running?"));
            5
        }
    }
}

/// One request without TLS, so that the check costs a container next to nothing.
fn ask_plainly(address: &str) -> Result<u16, String> {
    let parsed = address.parse().map_err(|_| format!("{address} is no address"))?;
    let mut stream = TcpStream::connect_timeout(&parsed, TIMEOUT).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(|e| e.to_string())?;
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut head = Vec::new();
    stream.take(64).read_to_end(&mut head).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&head);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| "the answer is not HTTP".to_owned())
}

/// Where a listener on all addresses is reached from this machine.
pub(crate) fn local(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// On this machine the certificate names another host and nothing secret is sent: it is not checked then.
fn ask(root: &str, is_local: bool) -> Result<u16, String> {
    let client = reqwest::blocking::Client::builder().timeout(TIMEOUT);
    let client = client.tls_danger_accept_invalid_certs(is_local).build();
    let answer = client.and_then(|client| client.get(format!("{root}/readyz")).send());
    answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

const TIMEOUT: Duration = Duration::from_secs(5);
