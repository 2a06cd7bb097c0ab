//! Every workload runs to its end against a server that says yes to everything.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use bench::{
    compare,
    options::{Command, Options},
    workload::Bench,
};
use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn every_workload_reports_its_rows_and_two_runs_compare() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let folder = std::env::temp_dir().join(format!("sealway-bench-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("0-hospitalInformation.json"), r#"{"entry":[{"resource":{}}]}"#)
        .unwrap();
    std::fs::write(folder.join("p.json"), PATIENT).unwrap();
    let results = folder.join("results.json");
    let arguments = [
        "sealway-bench",
        "run",
        "import",
        "crud",
        "search",
        "mix",
        "families",
        "read",
        "transaction",
        "stall",
        "flat-fill",
        "flat",
        "--clients",
        "1,3",
        "--requests",
        "30",
        "--url",
        &url,
        "--data",
        folder.to_str().unwrap(),
        "--data-dir",
        folder.to_str().unwrap(),
        "--json",
        results.to_str().unwrap(),
        "--name",
        "yes",
    ];
    let Command::Run(options) = Options::parse_from(arguments).command else { panic!("run") };

    let done = Bench::new(*options).unwrap().run().await.unwrap();

    let row = |class: &str| done.rows.iter().find(|row| row.class == class).unwrap();
    assert!(done.rows.iter().all(|row| row.failed == 0), "{:?}", done.rows);
    assert_eq!((row("bundles").requests, row("bundles").resources), (1, 2));
    assert_eq!((row("create").requests, row("delete").requests), (30, 30));
    assert_eq!(done.rows.iter().filter(|row| row.class == "mix").count(), 6);
    let paths = [results];
    let table = compare::side_by_side(&paths, &paths).unwrap();
    assert!(table.contains("crud create @1") && table.contains("1.00"), "{table}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Answers each request of a connection: a search with one patient, anything written as created.
async fn serve(mut stream: TcpStream) {
    let mut buffer = Vec::new();
    let mut created = 0;
    loop {
        let Some(head) = find(&buffer, b"\r\n\r\n") else {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let text = String::from_utf8(buffer[..head].to_vec()).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let end = head + 4 + length.map_or(0, |length| length.parse().unwrap());
        while buffer.len() < end {
            stream.read_buf(&mut buffer).await.unwrap();
        }
        buffer.drain(..end);
        assert!(text.split(' ').nth(1).unwrap().starts_with('/'), "{text}");
        created += 1;
        let answer = match text.split(' ').next() {
            Some("GET") => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{FOUND}", FOUND.len())
            }
            Some("DELETE") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            _ => format!(
                "HTTP/1.1 201 Created\r\nLocation: /fhir/X/{created}/_history/1\r\nContent-Length: 0\r\n\r\n"
            ),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

const FOUND: &str = r#"{"resourceType":"Bundle","entry":[{"resource":{"id":"1"}}]}"#;
const PATIENT: &str = r#"{"entry":[{"resource":{"resourceType":"Patient","identifier":[{"system":"s","value":"v"}],"name":[{"family":"F","given":["Gi"]}],"birthDate":"1980-01-01"}},{"resource":{"resourceType":"Observation"}}]}"#;
