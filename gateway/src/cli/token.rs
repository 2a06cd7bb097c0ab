//! `sealway token --role … [--patient …]`: a bearer token of the running development issuer.
//!
//! Reads the key that `serve --dev-issuer` or `demo` left in the data folder. The token goes to stdout.

use clap::Args;
use fhir::ResourceId;
use policy::Role;

use super::{ConfigOptions, out, refuse_config};
use crate::app::dev_issuer_file;
use crate::auth::{DevIssuer, TokenRequest};
use crate::clock;

/// Make a token of the development issuer.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway token --role clinician > token\n  \
    sealway token --role patient --patient p1")]
pub struct TokenArgs {
    #[command(flatten)]
    options: ConfigOptions,
    /// clinician, patient, system, auditor or operator
    #[arg(long)]
    role: String,
    /// Id of the patient in context
    #[arg(long)]
    patient: Option<String>,
    /// Scopes instead of the role's own
    #[arg(long)]
    scope: Option<String>,
    /// How long it lives
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u8).range(1..))]
    hours: u8,
}

/// Runs the command; 2 for wrong use, 4 when no development issuer has run here.
pub fn run(args: &TokenArgs) -> u8 {
    let config = match args.options.load(Vec::new()) {
        Ok(loaded) => loaded.config,
        Err(error) => return refuse_config(&error),
    };
    let Some(role) = Role::parse(&args.role) else {
        let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        out::note(format_args!("sealway token: --role is one of {}", names.join(", ")));
        return 2;
    };
    let patient = match args.patient.as_deref().map(ResourceId::parse).transpose() {
        Ok(patient) => patient,
        Err(error) => {
            out::note(format_args!("sealway token: --patient: {error}"));
            return 2;
        }
    };
    let file = dev_issuer_file(&config.data_dir);
    let request = TokenRequest {
        role,
        patient: patient.as_ref(),
        scope: args.scope.as_deref(),
        lifetime_seconds: i64::from(args.hours) * 3600,
    };
    match DevIssuer::load(&file).and_then(|issuer| issuer.token(&request, clock::now())) {
        Ok(token) => {
            out::line(token);
            0
        }
        Err(error) => {
            out::note(format_args!(
                "sealway token: {error}\n  start `sealway serve --dev-issuer` first, and name its folder \
                 with --data-dir"
            ));
            4
        }
    }
}
