//! The measurements: boot, memory, sizes, image, and guest instructions per system call.
//!
//! Each runs in a machine of its own, so that one that fails or hangs costs its own figure only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imagegen::cli::Options;
use imagegen::error::Error;
use imagegen::interrupt::Interrupts;
use imagegen::qemu::streams::{Input, Streams};
use imagegen::{commands, embedded};
use qemu_tests::build::{Link, c_program};
use qemu_tests::workspace;

use crate::counter::{Sample, Sampler, build_plugin};
use crate::figures::{OPERATIONS, Operation, print_figure};

/// How long one machine may run.
const LIMIT: Duration = Duration::from_secs(60);

/// Boots whose median is the time to main.
const BOOTS: usize = 5;

/// Length of the program whose image is timed, in bytes.
const PROGRAM_BYTES: usize = 5_000_000;

/// TCG runs `rep movsb` byte by byte; without the two features copies go by words, on every guest.
const CPU: &str = "max,erms=off,fsrm=off";

/// The programs and the plugin.
struct Kit {
    folder: PathBuf,
    plugin: PathBuf,
    boot: PathBuf,
    sysbench: PathBuf,
}

/// Measures everything and prints two tables. Errors: those of the preparation; a failed figure is printed as such.
pub fn all() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = |name: &str| workspace().join("qemu-tests/bench").join(name);
    let kit = Kit {
        folder: folder.path().to_owned(),
        plugin: build_plugin(folder.path())?,
        boot: c_program(&source("boot.c"), Link::GlibcStatic, &[], folder.path()),
        sysbench: c_program(&source("sysbench.c"), Link::GlibcStatic, &[], folder.path()),
    };
    println!("guest: microvm, one CPU, -accel {}, -cpu {CPU}\n", qemu_tests::accel());
    boot_instructions(&kit);
    boot_time(&kit);
    least_memory(&kit);
    let kernel = embedded::KERNEL.len();
    print_figure("kernel with all servers, stripped", &format!("{kernel} bytes"), "< 2097152", "Nanos 1.74 MB");
    image_time(&kit)?;
    system_calls(&kit);
    Ok(())
}

/// Boots a program and returns what it printed, line by line.
fn run(kit: &Kit, program: &Path, words: &[&str], arguments: &[&str]) -> Result<Vec<Sample>, Error> {
    let count = kit.folder.join("count");
    let sampler = Sampler::new(&count);
    let mut all: Vec<&str> = words.to_vec();
    let (program, accel) = (program.to_string_lossy(), qemu_tests::accel());
    all.extend(["--accel", &accel, "--qemu-arg", "-cpu", "--qemu-arg", CPU, &program, "--"]);
    all.extend(arguments);
    let options = Options::from_words(&all).map_err(|why| Error::Option {
        option: "bench".to_owned(),
        why,
        fix: "correct the benchmark".to_owned(),
    })?;
    let streams = Streams {
        stdin: Input::Bytes(Vec::new()),
        stdout: Box::new(sampler.clone()),
        stderr: Box::new(io::sink()),
        log: Box::new(io::sink()),
        uart: Box::new(io::sink()),
    };
    commands::boot(&options, streams, &Interrupts::default(), Some(LIMIT))?.exit_status()?;
    Ok(sampler.samples())
}

/// Like [`run`], with the instruction counter.
fn run_counted(kit: &Kit, program: &Path, arguments: &[&str]) -> Result<Vec<Sample>, Error> {
    let plugin = format!("{},count={}", kit.plugin.display(), kit.folder.join("count").display());
    run(kit, program, &["--qemu-arg", "-plugin", "--qemu-arg", &plugin], arguments)
}

fn boot_instructions(kit: &Kit) {
    let samples = run_counted(kit, &kit.boot, &[]);
    let count = samples.map(|samples| samples.first().map_or(0, |sample| sample.instructions));
    let measured = count.map_or_else(failed, |count| format!("{:.2} M", count as f64 / 1e6));
    print_figure("guest instructions, start to main", &measured, "< 6 M", "Nanos 3.9 M, Linux 413 M");
}

fn boot_time(kit: &Kit) {
    let mut times = Vec::new();
    for _ in 0..BOOTS {
        let started = Instant::now();
        match run(kit, &kit.boot, &[], &[]) {
            Ok(samples) => times.extend(samples.first().map(|sample| sample.at - started)),
            Err(why) => return print_figure("imagegen run to main", &failed(why), "0.20 to 0.37 s", ""),
        }
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    print_figure("imagegen run to main", &format!("{:.3} s", median.as_secs_f64()), "0.20 to 0.37 s", "Nanos 0.20 s");
}

fn least_memory(kit: &Kit) {
    let measured = run(kit, &kit.boot, &["-m", "16M"], &[]).map_or_else(failed, |_| "yes".to_owned());
    print_figure("hello runs in 16 MiB", &measured, "yes", "Nanos 11, Linux 36 MiB");
}

/// Times the command itself, from its start to the finished image.
fn image_time(kit: &Kit) -> io::Result<()> {
    let data = kit.folder.join("data");
    fs::write(&data, vec![0xa5; PROGRAM_BYTES])?;
    let output = kit.folder.join("timed.img");
    let words = ["--file", &format!("{}:/data", data.display()), "-o", &output.display().to_string()];
    let program = kit.boot.display().to_string();
    let options = Options::from_words(words.into_iter().chain([program.as_str()])).map_err(io::Error::other)?;
    let started = Instant::now();
    let written = commands::prepare(&options).and_then(|it| it.disk.write(&output, &Interrupts::default()));
    let took = started.elapsed();
    let measured = written.map_or_else(failed, |()| format!("{:.1} ms", took.as_secs_f64() * 1e3));
    print_figure("image of a 5 MB program", &measured, "< 100 ms", "Nanos 10 ms");
    Ok(())
}

fn system_calls(kit: &Kit) {
    println!("\n{:<24} {:>12} {:>10} {:>10} {:>10}", "guest instructions of", "Skiff", "aim", "Linux", "Nanos");
    for operation in &OPERATIONS {
        let measured = per_operation(kit, operation);
        let measured = measured.map_or_else(failed, |count| format!("{count:.0}"));
        println!(
            "{:<24} {measured:>12} {:>10} {:>10} {:>10}",
            operation.name, operation.aim, operation.linux, operation.nanos
        );
    }
}

/// Instructions between the program's "begin" and "end", over its iterations.
fn per_operation(kit: &Kit, operation: &Operation) -> Result<f64, Error> {
    let samples = run_counted(kit, &kit.sysbench, &["-d", "/tmp", operation.name])?;
    let begin = samples.iter().find(|sample| sample.line.starts_with("# begin"));
    let end = samples.iter().find(|sample| sample.line.starts_with("# end"));
    let iterations = end.and_then(|sample| sample.line.split_once("iters=")?.1.parse::<u64>().ok());
    match (begin, end, iterations) {
        (Some(begin), Some(end), Some(iterations @ 1..)) => {
            Ok(end.instructions.saturating_sub(begin.instructions) as f64 / iterations as f64)
        }
        _ => Err(Error::Machine {
            why: samples.last().map_or("no output".to_owned(), |sample| sample.line.clone()),
            fix: "run it on its own to see more".to_owned(),
        }),
    }
}

/// What stands in the table in place of a figure; the reason goes to stderr.
fn failed(why: Error) -> String {
    eprintln!("bench: {why}");
    "failed".to_owned()
}
