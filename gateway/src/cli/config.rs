//! `sealway config show|check|example`: what is set, what is wrong with a file, what could be set.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigOptions, out, refuse_config};
use crate::config::{Loaded, example};

/// Show, check or begin a configuration.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway config show --origin\n  \
    sealway config example > sealway.toml\n  sealway config check sealway.toml")]
pub struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print every setting; secrets are redacted
    Show {
        #[command(flatten)]
        options: ConfigOptions,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Read a file and say what is wrong with it
    Check {
        /// The file [default: that of --config]
        #[arg(conflicts_with = "config")]
        file: Option<PathBuf>,
        #[command(flatten)]
        options: ConfigOptions,
    },
    /// Print a complete file with every setting explained and commented out
    Example,
}

/// Runs the command; 3 when the configuration is refused.
pub fn run(args: ConfigArgs) -> u8 {
    match args.what {
        What::Show { options, origin } => loaded(&options, |loaded| show(loaded, origin)),
        What::Check { file, mut options } => {
            options.config = file.or(options.config);
            loaded(&options, |_| out::line("ok"))
        }
        What::Example => {
            out::text(example());
            0
        }
    }
}

fn loaded(options: &ConfigOptions, then: impl FnOnce(&Loaded)) -> u8 {
    match options.load(Vec::new()) {
        Ok(loaded) => {
            then(&loaded);
            0
        }
        Err(error) => refuse_config(&error),
    }
}

fn show(loaded: &Loaded, origin: bool) {
    for setting in &loaded.settings {
        if origin {
            let place = &setting.origin;
            out::line(format_args!("{:<30} {:<32} {place}", setting.name, setting.shown));
        } else {
            out::line(format_args!("{:<30} {}", setting.name, setting.shown));
        }
    }
}
