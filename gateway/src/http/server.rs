//! The HTTP server: sockets, workers, limits against slow and many clients, TLS, graceful stop.
//!
//! Callable in process with port 0; the bound address is in [`Served`].
//! Not here: routes (`super`), the application (`app`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, PayloadConfig};
use actix_web::{App as Actix, HttpServer};
use tokio::task::JoinHandle;

use super::guard::guard;
use crate::app::App;
use crate::config::ConfigError;
use crate::message::Desk;
use crate::tls;

/// A running server.
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The address cannot be bound.
    #[error("server.listen: cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Starts to serve `app`. Call it inside a tokio runtime.
///
/// # Errors
/// [`ServeError`]; nothing listens then.
pub fn serve(app: Arc<App>, desk: Arc<Desk>) -> Result<Served, ServeError> {
    let settings = app.config.server.clone();
    let address = settings.listen;
    let tls = tls::server_config(&app.config.tls, address)?;
    let data = Data::from(app);
    let desk = Data::from(desk);
    let server = HttpServer::new(move || {
        Actix::new()
            .app_data(data.clone())
            .app_data(desk.clone())
            .app_data(PayloadConfig::new(usize::MAX))
            .wrap(from_fn(guard))
            .configure(super::routes)
    })
    .workers(match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        workers => workers,
    })
    .max_connections(settings.connections_max)
    .client_request_timeout(Duration::from_millis(settings.header_timeout_ms))
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    // Who closes the connection waits for nothing more: what the request still asks for ends (writes go on, `call`).
    .h1_allow_half_closed(false)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(settings.shutdown_timeout_ms.div_ceil(1000))
    .disable_signals();
    let bind = |source| ServeError::Bind { address, source };
    let server = match tls {
        None => server.bind(address),
        Some(tls) => server.bind_rustls_0_23(address, tls),
    }
    .map_err(bind)?;
    let address = server.addrs().first().copied().unwrap_or(address);
    let running = server.run();
    let handle = running.handle();
    let task = tokio::spawn(running);
    Ok(Served { address, handle, task })
}

impl Served {
    /// Lets running requests end, then stops.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        if !matches!(self.task.await, Ok(Ok(()))) {
            tracing::warn!("the HTTP server ended badly");
        }
    }
}

const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
