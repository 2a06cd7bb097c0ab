//! `sealway-bench`: the command.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bench::{
    compare, http, machine,
    options::{Command, Options, Target, WaitOptions},
    workload::Bench,
};
use clap::Parser;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            match Options::parse().command {
                Command::Run(options) => Bench::new(*options)?.run().await.map(drop),
                Command::Wait(options) => wait(&options).await,
                Command::Compare(options) => {
                    print!("{}", compare::side_by_side(&options.a, &options.b)?);
                    Ok(())
                }
                Command::Disk { folder } => {
                    let ms = machine::fsync_ms(&folder).map_err(|error| error.to_string())?;
                    println!("fsync median {ms:.2} ms");
                    Ok(())
                }
            }
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Asks for /metadata until it is answered with 200.
async fn wait(options: &WaitOptions) -> Result<(), String> {
    let target = Target::parse(&options.url, None)?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(options.seconds) {
        let mut client = http::Client::new(target.clone());
        if client.get("metadata").await.is_ok_and(|answer| answer.status == 200) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
            let since = options.since.map(Duration::from_nanos);
            let waited = since.map_or(started.elapsed(), |since| now.saturating_sub(since));
            println!("{} ms to the first 200", waited.as_millis());
            return Ok(());
        }
        if options.pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            return Err(format!("the server ended before it answered at {}", options.url));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(format!("no 200 from {} in {} s", options.url, options.seconds))
}
