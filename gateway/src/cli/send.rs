//! `sealway send mllp|fhir FILE`: a test sender that prints what came back.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{TokenFileError, bearer, out};
use crate::load::{Answer, Contents, ItemKind, SendError, Sender, contents};

/// Send a file and print the acknowledgement or outcome.
#[derive(Args, Debug)]
pub struct SendArgs {
    #[command(subcommand)]
    how: How,
}

#[derive(Debug, Subcommand)]
enum How {
    /// HL7 v2 messages over MLLP
    Mllp {
        /// File with one or more messages
        file: PathBuf,
        /// Listener
        #[arg(long, env = "SEALWAY_MLLP", default_value = "127.0.0.1:2575")]
        to: String,
    },
    /// FHIR bundles, resources or HL7 v2 messages over HTTP
    Fhir {
        /// File to send
        file: PathBuf,
        /// FHIR base of the gateway
        #[arg(long, env = "SEALWAY_URL", default_value = "http://127.0.0.1:8080/fhir")]
        url: String,
        /// File that holds a bearer token
        #[arg(long, env = "SEALWAY_TOKEN_FILE")]
        token_file: Option<PathBuf>,
    },
}

/// Runs the command; the number is the exit code (0, 1, 4, 5, or 20 when something was refused).
pub async fn run(args: SendArgs) -> u8 {
    let outcome = match args.how {
        How::Mllp { file, to } => mllp(file, &to).await,
        How::Fhir { file, url, token_file } => fhir(file, &url, token_file).await,
    };
    match outcome {
        Ok(refused) => u8::from(refused) * 20,
        Err(FailedSend { exit_code, reason }) => {
            out::note(format_args!("sealway send: {reason}"));
            exit_code
        }
    }
}

struct FailedSend {
    exit_code: u8,
    reason: String,
}

fn failed(exit_code: u8) -> impl Fn(String) -> FailedSend {
    move |reason| FailedSend { exit_code, reason }
}

fn read(file: &Path) -> Result<Contents, FailedSend> {
    let contents = contents(file).map_err(|e| failed(1)(e.to_string()))?;
    if contents.items.is_empty() && contents.broken.is_empty() {
        return Err(failed(1)(format!("{} holds nothing to send", file.display())));
    }
    Ok(contents)
}

/// Sends each message on one connection and prints its acknowledgement.
async fn mllp(file: PathBuf, to: &str) -> Result<bool, FailedSend> {
    let Contents { items, broken } = read(&file)?;
    let messages: Vec<_> = items.iter().filter(|item| item.kind == ItemKind::Message).collect();
    if messages.is_empty() {
        let text = format!("{}: no line begins a message (MSH)", file.display());
        return Err(failed(1)(text));
    }
    let unreachable = |e: std::io::Error| failed(5)(format!("{to}: {e}"));
    let address: SocketAddr = to
        .to_socket_addrs()
        .map_err(unreachable)?
        .next()
        .ok_or_else(|| failed(5)(format!("{to}: no such address")))?;
    let mut connection = TcpStream::connect(address).await.map_err(unreachable)?;
    let others = items.iter().filter(|item| item.kind != ItemKind::Message).map(|item| item.line);
    let unsent = others.chain(broken.into_iter().map(|(line, _)| line));
    let mut refused = false;
    for line in unsent {
        out::line(format_args!("line {line}: not sent, it is in no message"));
        refused = true;
    }
    for message in messages {
        let frame = [&[0x0B][..], &message.body, &[0x1C, 0x0D]].concat();
        connection.write_all(&frame).await.map_err(unreachable)?;
        let answer = tokio::time::timeout(ACK_WAIT, acknowledgement(&mut connection));
        let answer = answer
            .await
            .map_err(|_| failed(5)(format!("{to}: no acknowledgement in {ACK_WAIT:?}")))?
            .map_err(unreachable)?;
        let text = String::from_utf8_lossy(&answer).replace('\r', "\n");
        out::line(format_args!("{}\n", text.trim_end()));
        refused |= !text.contains("\nMSA|AA") && !text.contains("\nMSA|CA");
    }
    Ok(refused)
}

async fn acknowledgement(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    while !frame.ends_with(&[0x1C, 0x0D]) && frame.len() < ACK_BYTES_MAX {
        if connection.read_buf(&mut frame).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.into_iter().filter(|b| !matches!(b, 0x0B | 0x1C)).collect())
}

async fn fhir(file: PathBuf, url: &str, token: Option<PathBuf>) -> Result<bool, FailedSend> {
    let no_token = |e: TokenFileError| failed(4)(format!("{e}\n  {}", TokenFileError::NEXT));
    let token = bearer(token.as_deref()).map_err(no_token)?;
    let code = |e: SendError| match e {
        SendError::Unauthenticated(_) | SendError::Forbidden(_) => failed(4)(e.to_string()),
        SendError::Unreachable { .. } | SendError::Elsewhere { .. } => failed(5)(e.to_string()),
    };
    let sender = Sender::new(url, token).map_err(code)?;
    let Contents { items, broken } = read(&file)?;
    let mut refused = !broken.is_empty();
    for (line, reason) in broken {
        out::line(format_args!("line {line}: unreadable: {reason}"));
    }
    for item in items {
        let mut answer = Answer::default();
        let sent = sender.send(&item, &mut answer).await;
        let (accepted, count) = (answer.accepted, answer.refused.len());
        if sent.is_ok() || accepted + count > 0 {
            out::line(format_args!("line {}: {accepted} accepted, {count} refused", item.line));
        }
        for one in answer.refused {
            refused = true;
            let entry = one.entry.map(|at| format!("entry {at}: ")).unwrap_or_default();
            for trouble in one.issues {
                let place = trouble.path.map(|path| format!(" at {path}")).unwrap_or_default();
                out::line(format_args!("  {entry}{}{place}: {}", one.status, trouble.reason));
            }
        }
        sent.map_err(code)?;
    }
    Ok(refused)
}

const ACK_WAIT: Duration = Duration::from_secs(60);
const ACK_BYTES_MAX: usize = 1024 * 1024;
