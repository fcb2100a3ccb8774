//! `make bench`: the figures of the project, measured on this computer and put beside what is to be reached.
//!
//! Times depend on the computer; counts of guest instructions do not, so they come first. The peers' figures were
//! measured on one machine on 2026-11-20 with the same programs and the same counter (QEMU 7.2, TCG, one CPU); they are
//! for orientation, and a claim about a peer needs a run of that peer beside ours.

#![forbid(unsafe_code)]

mod counter;
mod figures;
mod measure;

use std::process::ExitCode;

fn main() -> ExitCode {
    match measure::all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}
