//! One MLLP connection: read a frame, receive the message, write the acknowledgement in one piece.
//!
//! Answers stand in the order of the messages. A peer that speaks something else, or is silent inside a frame, is
//! disconnected; what it had sent of a message is kept in quarantine. One for whose message there is no memory is
//! slowed down, then disconnected: it has no acknowledgement and sends again.
//! Not here: framing (`frame`), what becomes of a message (`message`).

use std::time::Duration;

use policy::Principal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::frame::{Frame, FrameDecoder, encode};
use crate::app::App;
use crate::http::budget::Claim;
use crate::message::{Desk, receive};

/// Serves until the peer closes, is silent too long, sends what is no frame, or `stop` turns true.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    principal: &Principal,
    app: &App,
    desk: &Desk,
    mut stop: watch::Receiver<bool>,
) {
    let mut decoder = FrameDecoder::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut frame_due = None;
    let mut claim = app.bodies.claim();
    while answer(&mut socket, &mut decoder, app, desk, principal).await {
        // Silence ends a frame, and so does a peer that feeds it byte by byte.
        let until = match decoder.is_inside() {
            true => {
                let due = *frame_due.get_or_insert_with(|| Instant::now() + WHOLE_FRAME_WAIT);
                due.min(Instant::now() + FRAME_WAIT)
            }
            false => {
                frame_due = None;
                claim = app.bodies.claim();
                Instant::now() + IDLE_WAIT
            }
        };
        let read = tokio::select! {
            read = tokio::time::timeout_at(until, socket.read(&mut buffer)) => read,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match read {
            Ok(Ok(count)) if count > 0 => {
                let room = has_room(&mut claim, decoder.buffered() + count);
                let has_room = tokio::select! {
                    has_room = room => has_room,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                if !has_room {
                    tracing::warn!("an MLLP connection was closed: large messages hold all memory");
                    return;
                }
                decoder.push(&buffer[..count]);
            }
            _ => {
                decoder.close();
                if answer(&mut socket, &mut decoder, app, desk, principal).await {
                    keep_rest(&mut decoder, app, desk, principal).await;
                }
                return;
            }
        }
    }
}

/// Room in the budget of all bodies; waits for it, so that the sender is slowed down by its own connection.
async fn has_room(claim: &mut Claim, bytes: usize) -> bool {
    let due = Instant::now() + FRAME_WAIT;
    while claim.cover(bytes).is_err() {
        if Instant::now() > due {
            return false;
        }
        tokio::time::sleep(ROOM_PAUSE).await;
    }
    true
}

/// Answers every whole frame; false when the connection must be closed.
async fn answer<S: AsyncWrite + Unpin>(
    socket: &mut S,
    decoder: &mut FrameDecoder,
    app: &App,
    desk: &Desk,
    principal: &Principal,
) -> bool {
    loop {
        let message = match decoder.next() {
            Ok(Some(Frame::Message(message) | Frame::Broken(message))) => message,
            Ok(Some(Frame::Empty)) => Vec::new(),
            Ok(Some(Frame::CommitBlock { .. })) => continue,
            Ok(None) => return true,
            Err(error) => {
                tracing::warn!(%error, "an MLLP connection was closed");
                return false;
            }
        };
        let reply = receive(app, desk, &message, principal).await;
        for answer in reply.first.into_iter().chain(reply.second) {
            // One write: simple senders take one segment for one acknowledgement.
            if !send(socket, &encode(&answer)).await {
                return false;
            }
        }
    }
}

/// Sends an answer; false when the peer is gone or does not take it.
async fn send<S: AsyncWrite + Unpin>(socket: &mut S, bytes: &[u8]) -> bool {
    let sent = async {
        socket.write_all(bytes).await?;
        socket.flush().await
    };
    matches!(tokio::time::timeout(ANSWER_WAIT, sent).await, Ok(Ok(())))
}

/// A message that broke off is kept for an operator; nobody waits for an answer.
async fn keep_rest(decoder: &mut FrameDecoder, app: &App, desk: &Desk, principal: &Principal) {
    let rest = decoder.take_rest();
    if !rest.is_empty() {
        let reply = receive(app, desk, &rest, principal).await;
        tracing::warn!(message.state = ?reply.state, "an MLLP connection ended inside a frame");
    }
}

const READ_BYTES: usize = 64 * 1024;
/// Silence inside a frame.
const FRAME_WAIT: Duration = Duration::from_secs(30);
/// Between two looks for room in memory.
const ROOM_PAUSE: Duration = Duration::from_millis(50);
/// From the first byte of a frame to its last: 32 MiB at 1 Mbit/s.
const WHOLE_FRAME_WAIT: Duration = Duration::from_secs(270);
/// For a peer to take an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Silence between messages; interfaces keep connections open over quiet nights.
const IDLE_WAIT: Duration = Duration::from_secs(3600);
