//! A minimal HTTP/1.1 client that keeps its connection: one request, one answer.
//!
//! Spec: RFC 9112, as far as servers on this machine need it: `Content-Length` and chunked bodies, `Connection: close`.
//! An answer may have at most [`ANSWER_BYTES_MAX`]. Not here: TLS, redirects, compression (never asked for).

use std::{fmt::Write as _, io, ops::Range, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::options::Target;

/// One connection to a server.
#[derive(Debug)]
pub struct Client {
    target: Target,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// What was answered. The body stays in the client until the next request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// `Location`.
    pub location: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    body: Range<usize>,
    close: bool,
}

/// Largest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest wait for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

impl Client {
    /// A client that connects at its first request.
    pub fn new(target: Target) -> Self {
        Self { target, stream: None, request: Vec::new(), answer: Vec::new() }
    }

    /// Reads a resource or a search.
    ///
    /// # Errors
    /// When the connection fails or the answer is not HTTP.
    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, "", b"").await
    }

    /// Sends a request with a FHIR JSON body; `headers` are whole lines.
    ///
    /// # Errors
    /// When the connection fails or the answer is not HTTP.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        self.write_request(method, path, headers, body);
        let reused = self.stream.is_some();
        match self.exchange().await {
            // The server may close an idle connection just as we write: ask once more on a new one.
            Err(error) if reused && is_closed(&error) => {
                self.stream = None;
                self.exchange().await
            }
            answer => answer,
        }
    }

    /// The body of the answer given last.
    pub fn body(&self, answer: &Answer) -> &[u8] {
        &self.answer[answer.body.clone()]
    }

    fn write_request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        // The base itself takes no slash at its end, but the root of a server needs one.
        let needs_slash = !path.is_empty() || self.target.base.is_empty();
        let slash = if needs_slash { "/" } else { "" };
        let mut head = format!(
            "{method} {}{slash}{path} HTTP/1.1\r\nHost: {}\r\nAccept: application/fhir+json\r\n{headers}",
            self.target.base, self.target.host
        );
        if let Some(token) = &self.target.token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if method == "POST" || method == "PUT" {
            let length = body.len();
            let _ =
                write!(head, "Content-Type: application/fhir+json\r\nContent-Length: {length}\r\n");
        }
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
    }

    async fn exchange(&mut self) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.target).await?,
        };
        let exchange = async {
            stream.write_all(&self.request).await?;
            read_answer(&mut stream, &mut self.answer).await
        };
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let answer = timeout(ANSWER_TIMEOUT, exchange).await.map_err(late)??;
        if !answer.close {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

impl Answer {
    /// Whether the request succeeded.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Type, id and version in `Location`, or only type and id when the server leaves the version out.
    pub fn location_parts(&self) -> Option<(String, String)> {
        let location = self.location.as_deref()?;
        let path = location.split("/_history/").next()?;
        let mut parts = path.rsplit('/');
        let (id, resource_type) = (parts.next()?, parts.next()?);
        Some((resource_type.to_owned(), id.to_owned()))
    }
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    buffer.clear();
    let head = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end;
        }
        read_more(stream, buffer).await?;
    };
    let text = std::str::from_utf8(&buffer[..head]).map_err(|_| malformed())?;
    let mut answer = parse_head(text)?;
    let chunked = has_value(text, "transfer-encoding", "chunked");
    let length = header(text, "content-length").map(str::parse::<usize>);
    let start = head + 4;
    answer.body = if answer.status == 204 || answer.status == 304 {
        start..start
    } else if chunked {
        read_chunks(stream, buffer, start).await?
    } else {
        let length = length.unwrap_or(Ok(0)).map_err(|_| malformed())?;
        while buffer.len() < start + length {
            read_more(stream, buffer).await?;
        }
        start..start + length
    };
    Ok(answer)
}

fn parse_head(text: &str) -> io::Result<Answer> {
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok(Answer {
        status,
        location: header(text, "location").map(str::to_owned),
        etag: header(text, "etag").map(str::to_owned),
        body: 0..0,
        close: has_value(text, "connection", "close"),
    })
}

/// Reads chunks and moves their content together at `start`.
async fn read_chunks(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    start: usize,
) -> io::Result<Range<usize>> {
    let (mut at, mut end) = (start, start);
    loop {
        let line = loop {
            if let Some(length) = find(&buffer[at..], b"\r\n") {
                break at + length;
            }
            read_more(stream, buffer).await?;
        };
        let text = std::str::from_utf8(&buffer[at..line]).map_err(|_| malformed())?;
        let size = text.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| malformed())?;
        let content = line + 2;
        while buffer.len() < content + size + 2 {
            read_more(stream, buffer).await?;
        }
        buffer.copy_within(content..content + size, end);
        end += size;
        at = content + size + 2;
        if size == 0 {
            return Ok(start..end);
        }
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.len() > ANSWER_BYTES_MAX {
        return Err(io::Error::other("the answer is too large"));
    }
    buffer.reserve(READ_BYTES);
    if stream.read_buf(buffer).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn has_value(head: &str, name: &str, value: &str) -> bool {
    header(head, name).is_some_and(|found| found.eq_ignore_ascii_case(value))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1.1")
}

const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(parts: &'static [&'static str]) -> (u16, String, Option<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/fhir", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            for part in parts {
                stream.write_all(part.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let mut client = Client::new(Target::parse(&url, None).unwrap());
        let (answer, ()) = tokio::join!(client.get("Patient/1"), server);
        let answer = answer.unwrap();
        let body = String::from_utf8(client.body(&answer).to_vec()).unwrap();
        (answer.status, body, answer.location_parts().map(|(_, id)| id))
    }

    #[tokio::test]
    async fn bodies_of_every_framing_are_read_across_packets() {
        let plain = answered(&["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 5\r\n\r\nhe", "llo"]).await;
        assert_eq!(plain, (200, "hello".to_owned(), None));

        let chunked = answered(&[
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nLocation: http://h/fhir/Patient/p-1/_history/1\r\n\r\n5\r\nhel",
            "lo\r\n1",
            "\r\n!\r\n0\r\n\r\n",
        ])
        .await;
        assert_eq!(chunked, (201, "hello!".to_owned(), Some("p-1".to_owned())));

        let empty = answered(&["HTTP/1.1 204 No Content\r\n\r\n"]).await;
        assert_eq!(empty, (204, String::new(), None));
    }
}
