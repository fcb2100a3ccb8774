//! `imagegen`: see `imagegen --help`. Everything is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use imagegen::cli::Cli;
use imagegen::error::OWN_FAILURE;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => imagegen::commands::execute(cli),
        Err(text) => {
            // `--help` and `--version` also come here; only real mistakes are failures.
            let status = if text.use_stderr() { OWN_FAILURE } else { 0 };
            // Nothing can be said when stdout and stderr are closed.
            let _ = text.print();
            ExitCode::from(status)
        }
    }
}
