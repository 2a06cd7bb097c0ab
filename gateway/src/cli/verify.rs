//! `sealway verify RESOURCE RECEIPT --trust FILE`: offline, with a verdict as exit code.
//!
//! 0 verified, 10 mismatch or invalid proof, 11 pending, 12 policy not met, 13 untrusted key; 1 when a file
//! cannot be read, 2 for wrong use. No network, no gateway, no clock.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use ledger::{Trust, verify_receipt_bytes};

use super::out;

/// Verify a receipt offline.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sealway verify patient.json receipt.json --trust trust.json\n  \
    curl -s $URL/Patient/p1/_history/1 | sealway verify - receipt.json --trust trust.json\n\n\
    Exit codes:\n  \
    0   verified\n  \
    1   a file cannot be read\n  \
    2   wrong use of the command\n  \
    10  the content does not match, or the proof does not hold\n  \
    11  pending: not yet under a checkpoint\n  \
    12  the trust file asks for more than the receipt has\n  \
    13  signed by a key that is not trusted"
)]
pub struct VerifyArgs {
    /// The resource version, byte for byte as served; `-` reads stdin
    resource: PathBuf,
    /// Its receipt
    receipt: PathBuf,
    /// Whom to trust
    #[arg(long, env = "SEALWAY_TRUST", value_name = "FILE")]
    trust: PathBuf,
    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command; the number is the exit code.
pub fn run(args: &VerifyArgs) -> u8 {
    match report(args) {
        Ok(report) => {
            if args.json {
                out::line(report.to_json());
            } else {
                out::text(&report);
            }
            report.verdict.exit_code()
        }
        Err(text) => {
            out::note(format_args!("sealway verify: {text}"));
            1
        }
    }
}

fn report(args: &VerifyArgs) -> Result<ledger::Report, String> {
    let content = read(&args.resource)?;
    let receipt = read(&args.receipt)?;
    let trust = Trust::parse(&read(&args.trust)?)
        .map_err(|error| format!("{}: {error}", args.trust.display()))?;
    Ok(verify_receipt_bytes(&content, &receipt, &trust))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut bytes);
        return read.map(|_| bytes).map_err(|error| format!("stdin: {error}"));
    }
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

const INPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;
