//! The MLLP listener: accepts, bounds the number of connections, drains at shutdown.
//!
//! Spec: HL7 v2 MLLP release 1. One task a connection. Plain on loopback only; anywhere else both sides show a
//! certificate, and a sender is known by the SHA-256 of its own.
//! Not here: framing (`frame`), one connection's dialogue (`connection`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::{Principal, Role};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::connection::serve;
use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::message::Desk;
use crate::tls;

/// A listener that is bound but does not accept yet.
pub struct Listener {
    socket: TcpListener,
    connections: Arc<Semaphore>,
    connections_max: usize,
    tls: Option<TlsAcceptor>,
}

/// Why the listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A setting cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The address cannot be bound.
    #[error("mllp.listen: cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`BindError`]; nothing listens then.
    pub async fn bind(config: &Config, address: SocketAddr) -> Result<Self, BindError> {
        let tls = tls::mllp_config(&config.tls, &config.mllp, address)?;
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let bound = TcpListener::bind(address).await;
        let socket = bound.map_err(|error| BindError::Bind(address, error))?;
        let connections_max = config.mllp.connections_max;
        let connections = Arc::new(Semaphore::new(connections_max));
        Ok(Self { socket, connections, connections_max, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `stop` turns true, then lets running messages finish.
    pub async fn run(self, app: Arc<App>, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "an MLLP connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.connections).try_acquire_owned() else {
                tracing::warn!("too many MLLP connections; one was closed");
                continue;
            };
            let (app, desk, stop) = (Arc::clone(&app), Arc::clone(&desk), stop.clone());
            let tls = self.tls.clone();
            tokio::spawn(async move {
                converse(socket, peer, tls, &app, &desk, stop).await;
                drop(slot);
            });
        }
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        let drained = self.connections.acquire_many(all);
        if tokio::time::timeout(DRAIN_WAIT, drained).await.is_err() {
            tracing::warn!("MLLP connections were still open at shutdown");
        }
    }
}

async fn converse(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: &App,
    desk: &Desk,
    stop: watch::Receiver<bool>,
) {
    let _faster_answers = socket.set_nodelay(true);
    let Some(tls) = tls else {
        return serve(socket, &sender(&peer.ip().to_string(), peer), app, desk, stop).await;
    };
    match tokio::time::timeout(HANDSHAKE_WAIT, tls.accept(socket)).await {
        Ok(Ok(secured)) => {
            let shown = secured.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let Some(certificate) = shown else { return };
            let name = format!("sha256:{}", hex::encode(Sha256::digest(certificate)));
            serve(secured, &sender(&name, peer), app, desk, stop).await;
        }
        _ => tracing::warn!(
            network.peer.address = %peer.ip(),
            "an MLLP connection did not complete its TLS handshake; a sender needs a certificate of mllp.client_ca"
        ),
    }
}

/// The sender as a system of the hospital, by its certificate, or by its address on this machine.
fn sender(name: &str, peer: SocketAddr) -> Principal {
    Principal::builder(&format!("mllp:{name}"))
        .client_id(&peer.ip().to_string())
        .role(Role::System)
        .scopes("system/*.cruds")
        .build()
}

const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const DRAIN_WAIT: Duration = Duration::from_secs(10);
