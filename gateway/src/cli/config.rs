//! `sealway config show [--origin]`: every setting with its value, and where it came from.

use clap::{Args, Subcommand};

use super::{ConfigOptions, refuse_config};

/// Show the configuration.
#[derive(Args, Debug)]
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
        #[command(flatten)]
        options: ConfigOptions,
    },
}

/// Runs the command; 3 when the configuration is refused.
pub fn run(args: &ConfigArgs) -> u8 {
    let (options, shows, origin) = match &args.what {
        What::Show { options, origin } => (options, true, *origin),
        What::Check { options } => (options, false, false),
    };
    let loaded = match options.load(Vec::new()) {
        Ok(loaded) => loaded,
        Err(error) => return refuse_config(&error),
    };
    if !shows {
        println!("ok");
        return 0;
    }
    for setting in &loaded.settings {
        if origin {
            println!("{:<30} {:<32} {}", setting.name, setting.shown, setting.origin);
        } else {
            println!("{:<30} {}", setting.name, setting.shown);
        }
    }
    0
}
